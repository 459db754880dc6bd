//! One operator on several cores: its kernel and the operands that it writes are cut in shares.

use crate::operator::{Kernel, Operands};
use crate::workers::Workers;
use apu_kernels::{Error, Isa, MAX_SHARES, Share};
use core::mem::take;

/// A share of an operator and what came of it.
struct Part<'a> {
    kernel: Kernel,
    operands: Operands<'a>,
    result: Result<(), Error>,
}

impl Kernel {
    /// Runs it, on several cores if that is worth it.
    pub(crate) fn spread(
        &self,
        isa: Isa,
        operands: Operands<'_>,
        workers: &mut impl Workers,
    ) -> Result<(), Error> {
        let count = match workers.count() {
            0 | 1 => 1,
            cores => cores.min(self.shares()),
        };
        if count <= 1 {
            return self.run(isa, operands);
        }
        let mut parts = [const { None }; MAX_SHARES];
        self.cut(count, operands, &mut parts);
        workers.each(parts.get_mut(..count).unwrap_or_default(), |part| {
            if let Some(part) = part {
                part.result = part.kernel.run(isa, take(&mut part.operands));
            }
        });
        parts.into_iter().flatten().try_for_each(|part| part.result)
    }

    /// In how many shares it is worth being run; 1 for kinds that can't be shared.
    fn shares(&self) -> usize {
        match self {
            Self::Conv2d(conv) => conv.shares(),
            Self::DepthwiseConv2d(conv) => conv.shares(),
            Self::Elementwise(elementwise) => elementwise.shares(),
            _ => 1,
        }
    }

    fn share(&self, index: usize, of: usize) -> Option<Share<Self>> {
        Some(match self {
            Self::Conv2d(conv) => conv.share(index, of).map(Self::Conv2d),
            Self::DepthwiseConv2d(conv) => conv.share(index, of).map(Self::DepthwiseConv2d),
            Self::Elementwise(elementwise) => elementwise.share(index, of).map(Self::Elementwise),
            _ => return None,
        })
    }

    /// Gives each share its bytes. An operand that is too short, which doesn't come, is for the
    /// kernel to refuse.
    fn cut<'a>(&self, count: usize, operands: Operands<'a>, parts: &mut [Option<Part<'a>>]) {
        let Operands {
            reads: [a, b, c],
            mut output,
            mut scratch,
        } = operands;
        for (index, part) in parts.iter_mut().take(count).enumerate() {
            *part = self.share(index, count).map(|share| {
                let [first, second] = share.reads;
                Part {
                    kernel: share.kernel,
                    operands: Operands {
                        reads: [
                            a.get(first).unwrap_or_default(),
                            b.get(second).unwrap_or_default(),
                            c,
                        ],
                        output: split_off(&mut output, share.output.len()),
                        scratch: split_off(&mut scratch, share.scratch),
                    },
                    result: Ok(()),
                }
            });
        }
    }
}

/// The first `count` bytes, which are gone from `bytes` then.
fn split_off<'a>(bytes: &mut &'a mut [u8], count: usize) -> &'a mut [u8] {
    bytes.split_off_mut(..count).unwrap_or_default()
}
