//! Two inputs walked together, each with its own steps.

use crate::{
    Error,
    limits::{MAX_BYTES, bytes, within},
};
use apu_proto::program::{self, OP_RANK};

const LAST: usize = OP_RANK - 1;

/// Output shape and steps of both inputs in elements; all stay within operands of the sizes that
/// [`Broadcast::sizes`] tells.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Broadcast {
    shape: [usize; OP_RANK],
    strides: [[usize; OP_RANK]; 2],
}

impl Broadcast {
    /// The frame of these parameters, and the elements of a, b and output.
    pub fn new(p: &program::Elementwise) -> Result<(Self, [u32; 3]), Error> {
        for size in p.shape {
            within("shape", size, 1, MAX_BYTES.into())?;
        }
        let counts = [
            extent("a", &p.shape, &p.a_stride)?,
            extent("b", &p.shape, &p.b_stride)?,
            bytes("output", &p.shape)?,
        ];
        let frame = Self {
            shape: p.shape.map(|size| size as usize),
            strides: [p.a_stride, p.b_stride].map(|steps| steps.map(|step| step as usize)),
        };
        Ok((frame.merge_rows(), counts))
    }

    /// Makes the innermost row as long as both inputs allow.
    fn merge_rows(mut self) -> Self {
        for dim in (0..LAST).rev() {
            let columns = self.shape[LAST];
            let continues = |steps: &[usize; OP_RANK]| steps[dim] == steps[LAST] * columns;
            if self.shape[dim] == 1 || self.strides.iter().all(continues) {
                self.shape[LAST] *= self.shape[dim];
                self.shape[dim] = 1;
            } else if columns == 1 {
                self.shape[LAST] = self.shape[dim];
                self.shape[dim] = 1;
                for steps in &mut self.strides {
                    steps[LAST] = steps[dim];
                }
            } else {
                break;
            }
        }
        self
    }

    /// The output's elements, if those of both inputs are theirs in the same order.
    pub fn flat(&self) -> Option<usize> {
        let rows = &self.shape[..LAST];
        (self.steps() == [1, 1] && rows.iter().all(|&size| size == 1)).then(|| self.columns())
    }

    /// The frame of so many of its elements, where it is [`flat`](Self::flat).
    pub fn of_flat(mut self, elements: usize) -> Self {
        self.shape[LAST] = elements;
        self
    }

    /// Elements of an innermost row.
    pub fn columns(&self) -> usize {
        self.shape[LAST]
    }

    /// Steps of both inputs along a row.
    pub fn steps(&self) -> [usize; 2] {
        self.strides.map(|steps| steps[LAST])
    }

    /// The elements of both inputs that row `row` begins with.
    pub fn starts(&self, row: usize) -> [usize; 2] {
        let [mut a, mut b, mut rest] = [0, 0, row];
        for dim in (0..LAST).rev() {
            let index = rest % self.shape[dim];
            rest /= self.shape[dim];
            a += index * self.strides[0][dim];
            b += index * self.strides[1][dim];
        }
        [a, b]
    }
}

/// One more than the largest offset that the strides reach.
fn extent(
    operand: &'static str,
    shape: &[u32; OP_RANK],
    stride: &[u32; OP_RANK],
) -> Result<u32, Error> {
    let mut last = 0u32;
    for (&size, &step) in shape.iter().zip(stride) {
        let reach = (size - 1).checked_mul(step);
        last = reach
            .and_then(|reach| last.checked_add(reach))
            .filter(|&last| last < MAX_BYTES)
            .ok_or(Error::TooLarge {
                operand,
                max: MAX_BYTES,
            })?;
    }
    Ok(last + 1)
}
