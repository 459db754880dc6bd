//! One operator on several cores: its kernel and the operands that it writes are cut in shares.

use crate::operator::{Kernel, Operands};
use crate::workers::Workers;
use apu_kernels::{Cut, Error, Isa, MAX_SHARES};
use core::mem::take;

/// A share of an operator and what came of it.
struct Part<'a> {
    index: usize,
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
        let parts = parts.get_mut(..count).unwrap_or_default();
        self.cut(operands, parts);
        workers.each(parts, |part| {
            let Some(part) = part else { return };
            if let Some(kernel) = self.share(part.index, count) {
                part.result = kernel.run(isa, take(&mut part.operands));
            }
        });
        let mut parts = parts.iter().flatten();
        parts.try_for_each(|part| part.result)
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

    /// The bytes of a share.
    fn bytes(&self, index: usize, of: usize) -> Option<Cut> {
        Some(match self {
            Self::Conv2d(conv) => conv.cut(index, of),
            Self::DepthwiseConv2d(conv) => conv.cut(index, of),
            Self::Elementwise(elementwise) => elementwise.cut(index, of),
            _ => return None,
        })
    }

    /// What computes it.
    fn share(&self, index: usize, of: usize) -> Option<Self> {
        Some(match self {
            Self::Conv2d(conv) => Self::Conv2d(conv.share(index, of)),
            Self::DepthwiseConv2d(conv) => Self::DepthwiseConv2d(conv.share(index, of)),
            Self::Elementwise(elementwise) => Self::Elementwise(elementwise.share(index, of)),
            _ => return None,
        })
    }

    /// Gives each share its bytes. An operand that is too short, which doesn't come, is for the
    /// kernel to refuse.
    fn cut<'a>(&self, operands: Operands<'a>, parts: &mut [Option<Part<'a>>]) {
        let Operands {
            reads: [a, b, c],
            mut output,
            mut scratch,
        } = operands;
        let count = parts.len();
        for (index, part) in parts.iter_mut().enumerate() {
            *part = self.bytes(index, count).map(|share| {
                let [first, second] = share.reads;
                Part {
                    index,
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
