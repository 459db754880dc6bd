//! STRIDED_COPY: a box of elements from one tensor to another, each walked with its own steps.

use crate::{
    Error, Isa, Sizes,
    limits::{MAX_BYTES, bytes, element_size, exactly, within},
};
use apu_proto::program::{self, OP_RANK};

const LAST: usize = OP_RANK - 1;

/// Parameters in range: from its start each walk stays within an operand of the size in `sizes`.
#[derive(Clone, Copy, Debug)]
struct StridedCopy {
    shape: [usize; OP_RANK],
    input: Walk,
    output: Walk,
    sizes: Sizes,
}

/// A way through a tensor, in elements.
#[derive(Clone, Copy, Debug)]
struct Walk {
    start: isize,
    stride: [isize; OP_RANK],
}

impl Walk {
    /// `names` are those of the start and of the stride, for errors.
    fn new(
        names: [&'static str; 2],
        start: u32,
        stride: &[i32; OP_RANK],
        shape: &[u32; OP_RANK],
        count: u32,
    ) -> Result<Self, Error> {
        let [mut first, mut last] = [i64::from(start); 2];
        for (&size, &step) in shape.iter().zip(stride) {
            // Each product fits 62 bits, and the sum of six of them 65; so each is limited at once.
            let reach = i64::from(size - 1) * i64::from(step);
            first += reach.min(0);
            last += reach.max(0);
            within(names[1], first, 0, count.into())?;
            within(names[1], last, 0, i64::from(count) - 1)?;
        }
        within(names[0], start, 0, i64::from(count) - 1)?;
        Ok(Self {
            start: start as isize,
            stride: stride.map(|step| step as isize),
        })
    }

    /// Where the innermost row with these outer indices begins.
    fn row(&self, index: &[usize; OP_RANK]) -> isize {
        let steps = self.stride[..LAST].iter().zip(index);
        let offset: isize = steps.map(|(step, &index)| step * index as isize).sum();
        self.start + offset
    }
}

impl StridedCopy {
    fn new(p: &program::StridedCopy) -> Result<Self, Error> {
        element_size("element_size", p.element_size)?;
        let sizes = Sizes::new([
            bytes("input", &[p.input_count, p.element_size])?,
            bytes("output", &[p.output_count, p.element_size])?,
        ]);
        for size in p.shape {
            within("shape", size, 1, MAX_BYTES.into())?;
        }
        // Each element of the box is copied, so its size bounds the time that this takes. No honest copy
        // writes an element twice.
        let count = bytes("the box", &p.shape)?;
        within("shape", count, 1, p.output_count.into())?;
        let input = Walk::new(
            ["input_start", "input_stride"],
            p.input_start,
            &p.input_stride,
            &p.shape,
            p.input_count,
        )?;
        let output = Walk::new(
            ["output_start", "output_stride"],
            p.output_start,
            &p.output_stride,
            &p.shape,
            p.output_count,
        )?;
        let copy = Self {
            shape: p.shape.map(|size| size as usize),
            input,
            output,
            sizes,
        };
        Ok(copy.merge_rows())
    }

    /// Makes the innermost row as long as both walks allow.
    fn merge_rows(mut self) -> Self {
        for dim in (0..LAST).rev() {
            let columns = self.shape[LAST];
            let continues = |walk: &Walk| walk.stride[dim] == walk.stride[LAST] * columns as isize;
            if self.shape[dim] != 1 && columns == 1 {
                for walk in [&mut self.input, &mut self.output] {
                    walk.stride[LAST] = walk.stride[dim];
                }
            } else if self.shape[dim] != 1 && !(continues(&self.input) && continues(&self.output)) {
                break;
            }
            self.shape[LAST] *= self.shape[dim];
            self.shape[dim] = 1;
        }
        self
    }

    fn copy<const N: usize>(&self, input: &[[u8; N]], output: &mut [[u8; N]]) {
        let columns = self.shape[LAST];
        let steps = [&self.input, &self.output].map(|walk| walk.stride[LAST]);
        let rows: usize = self.shape[..LAST].iter().product();
        let mut index = [0; OP_RANK];
        for _ in 0..rows {
            let [from, to] = [&self.input, &self.output].map(|walk| walk.row(&index));
            copy_row(input, output, [from, to], steps, columns);
            self.advance(&mut index);
        }
    }

    /// The outer indices of the next row.
    fn advance(&self, index: &mut [usize; OP_RANK]) {
        for dim in (0..LAST).rev() {
            index[dim] += 1;
            if index[dim] < self.shape[dim] {
                return;
            }
            index[dim] = 0;
        }
    }
}

/// One innermost row. The walks are within the operands, so that every position is 0 or more.
fn copy_row<const N: usize>(
    input: &[[u8; N]],
    output: &mut [[u8; N]],
    [from, to]: [isize; 2],
    steps: [isize; 2],
    columns: usize,
) {
    match steps {
        [1, 1] => {
            output[to as usize..][..columns].copy_from_slice(&input[from as usize..][..columns])
        }
        [0, 1] => output[to as usize..][..columns].fill(input[from as usize]),
        [read, write] => {
            for column in 0..columns as isize {
                output[(to + column * write) as usize] = input[(from + column * read) as usize];
            }
        }
    }
}

/// The sizes of input and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::StridedCopy) -> Result<Sizes, Error> {
    Ok(StridedCopy::new(params)?.sizes)
}

/// Copies the box from `input` into `output`, whose other elements stay as they are.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    _isa: Isa,
    params: &program::StridedCopy,
    input: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    let copy = StridedCopy::new(params)?;
    let &[input_size, output_size] = copy.sizes.as_slice() else {
        unreachable!("a copy has two operands");
    };
    exactly("input", input, input_size)?;
    exactly("output", output, output_size)?;
    match params.element_size {
        1 => copy.copy::<1>(input.as_chunks().0, output.as_chunks_mut().0),
        2 => copy.copy::<2>(input.as_chunks().0, output.as_chunks_mut().0),
        4 => copy.copy::<4>(input.as_chunks().0, output.as_chunks_mut().0),
        _ => copy.copy::<8>(input.as_chunks().0, output.as_chunks_mut().0),
    }
    Ok(())
}
