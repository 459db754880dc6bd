//! How the rows of what a record writes depend on the rows of what it reads.

use std::ops::Range;

use apu_kernels::conv_2d;
use apu_proto::program::{
    Conv2d, DType, DepthwiseConv2d, Elementwise, Lookup, OP_RANK, Pool2d, Quantize, Window, opcode,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{graph::Graph, legalise::Record};

/// The dimension of rows in a shape of [`OP_RANK`] dimensions.
const ROW: usize = OP_RANK - 3;
/// Types of one byte.
const BYTES: [u32; 2] = [DType::Int8 as u32, DType::UInt8 as u32];

/// A record that computes an image row by row.
#[derive(Clone, Debug)]
pub(super) struct Rows {
    /// What it reads by rows.
    pub reads: Vec<Reads>,
    /// Index of the operand that it writes.
    pub writes: usize,
    /// Rows that it writes.
    pub count: u32,
    /// Bytes of one of them.
    pub bytes: u64,
}

/// Which rows of an input a row of the output takes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reads {
    /// Index of the operand.
    pub operand: usize,
    /// Rows that the input has.
    pub count: u32,
    /// Bytes of one of them.
    pub bytes: u64,
    stride: u32,
    /// Rows from the first to the last that a window touches, less one.
    reach: u32,
    /// Rows of padding above.
    pad: u32,
}

impl Reads {
    /// Row by row.
    fn one_to_one(operand: usize, count: u32, bytes: u64) -> Self {
        Self {
            operand,
            count,
            bytes,
            stride: 1,
            reach: 0,
            pad: 0,
        }
    }

    /// The rows that these rows of the output take.
    pub fn rows(&self, output: &Range<u32>) -> Range<u32> {
        self.first(output.start)..self.end(output.end)
    }

    /// The first row that this row of the output and all after it take.
    pub fn first(&self, row: u32) -> u32 {
        (row * self.stride).saturating_sub(self.pad).min(self.count)
    }

    /// Where the rows end that the rows of the output before this one take.
    pub fn end(&self, row: u32) -> u32 {
        let Some(last) = row.checked_sub(1) else {
            return 0;
        };
        let end = last * self.stride + self.reach + 1;
        end.saturating_sub(self.pad).min(self.count)
    }
}

impl Rows {
    /// What there is to know of a record, if it computes the rows of one image.
    pub fn of(graph: &Graph, record: &Record) -> Option<Self> {
        match record.opcode {
            opcode::CONV_2D => Self::of_window(&record.params::<Conv2d>()?.window, 3),
            opcode::DEPTHWISE_CONV_2D => {
                Self::of_window(&record.params::<DepthwiseConv2d>()?.window, 3)
            }
            opcode::AVERAGE_POOL_2D | opcode::MAX_POOL_2D => {
                let pool: Pool2d = record.params()?;
                Self::of_window(&pool.window, 1).filter(|_| BYTES.contains(&pool.dtype))
            }
            opcode::ELEMENTWISE => Self::of_elementwise(&record.params()?),
            opcode::LOOKUP => {
                let lookup: Lookup = record.params()?;
                let bytes = [lookup.index_size, lookup.entry_size] == [1, 1];
                Self::of_bytes(graph, record, 2, lookup.count).filter(|_| bytes)
            }
            opcode::QUANTIZE => {
                let quantize: Quantize = record.params()?;
                let types = [quantize.input_dtype, quantize.output_dtype];
                let bytes = types.iter().all(|dtype| BYTES.contains(dtype));
                Self::of_bytes(graph, record, 1, quantize.count).filter(|_| bytes)
            }
            _ => None,
        }
    }

    fn of_window(window: &Window, writes: usize) -> Option<Self> {
        let row = |width: u32, channels: u32| u64::from(width) * u64::from(channels);
        let reads = Reads {
            operand: 0,
            count: window.in_h,
            bytes: row(window.in_w, window.in_c),
            stride: window.stride_h,
            reach: (window.kernel_h - 1) * window.dilation_h,
            pad: window.pad_top,
        };
        (window.batch == 1).then(|| Self {
            reads: vec![reads],
            writes,
            count: window.out_h,
            bytes: row(window.out_w, window.out_c),
        })
    }

    /// A function of each byte of the image that the model has there.
    fn of_bytes(graph: &Graph, record: &Record, writes: usize, size: u32) -> Option<Self> {
        let &[1, count, width, channels] = graph.tensors[record.output].shape.as_slice() else {
            return None;
        };
        let bytes = u64::from(width) * u64::from(channels);
        let reads = Reads::one_to_one(0, count, bytes);
        (u64::from(count) * bytes == u64::from(size)).then(|| Self {
            reads: vec![reads],
            writes,
            count,
            bytes,
        })
    }

    /// Of bytes, both inputs as large as the output.
    fn of_elementwise(params: &Elementwise) -> Option<Self> {
        let mut dense = [1; OP_RANK];
        for dim in (0..OP_RANK - 1).rev() {
            dense[dim] = dense[dim + 1] * params.shape[dim + 1];
        }
        let is_whole = |stride: &[u32; OP_RANK]| {
            (0..OP_RANK).all(|dim| params.shape[dim] == 1 || stride[dim] == dense[dim])
        };
        let one_image = params.shape[..ROW].iter().all(|&size| size == 1);
        let whole = is_whole(&params.a_stride) && is_whole(&params.b_stride);
        let (count, bytes) = (params.shape[ROW], u64::from(dense[ROW]));
        let reads = |operand| Reads::one_to_one(operand, count, bytes);
        (one_image && whole && BYTES.contains(&params.dtype)).then(|| Self {
            reads: vec![reads(0), reads(1)],
            writes: 2,
            count,
            bytes,
        })
    }

    /// The record for some rows of the output. Its operands are still those of all.
    pub fn band(&self, record: &Record, rows: &Range<u32>) -> Record {
        let mut band = record.clone();
        band.macs = record.macs / u64::from(self.count) * u64::from(rows.end - rows.start);
        match record.opcode {
            opcode::CONV_2D => {
                change(&mut band, |conv: &mut Conv2d| {
                    self.narrow(&mut conv.window, rows)
                });
                // How much a kernel wants depends on the shape.
                let sizes = band.params().and_then(|conv| conv_2d::sizes(&conv).ok());
                if let Some(sizes) = sizes {
                    band.set_scratch(&sizes);
                }
            }
            opcode::DEPTHWISE_CONV_2D => change(&mut band, |conv: &mut DepthwiseConv2d| {
                self.narrow(&mut conv.window, rows);
            }),
            opcode::ELEMENTWISE => change(&mut band, |both: &mut Elementwise| {
                both.shape[ROW] = rows.end - rows.start;
            }),
            opcode::LOOKUP => change(&mut band, |lookup: &mut Lookup| {
                lookup.count = self.elements(rows);
            }),
            opcode::QUANTIZE => change(&mut band, |quantize: &mut Quantize| {
                quantize.count = self.elements(rows);
            }),
            _ => change(&mut band, |pool: &mut Pool2d| {
                self.narrow(&mut pool.window, rows);
            }),
        }
        band
    }

    /// Bytes of some rows. Those of all of them are in 32 bits, too.
    fn elements(&self, rows: &Range<u32>) -> u32 {
        (rows.end - rows.start) * self.bytes as u32
    }

    fn narrow(&self, window: &mut Window, rows: &Range<u32>) {
        let Some(reads) = self.reads.first() else {
            return;
        };
        let input = reads.rows(rows);
        window.in_h = input.end - input.start;
        window.out_h = rows.end - rows.start;
        window.pad_top = window.pad_top.saturating_sub(rows.start * window.stride_h);
    }
}

fn change<T: FromBytes + IntoBytes + Immutable>(record: &mut Record, edit: impl FnOnce(&mut T)) {
    if let Some(mut params) = record.params::<T>() {
        edit(&mut params);
        record.set_params(&params);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three_rows(count: u32, stride: u32, pad: u32) -> Reads {
        Reads {
            operand: 0,
            count,
            bytes: 1,
            stride,
            reach: 2,
            pad,
        }
    }

    #[test]
    fn a_window_of_three_rows_takes_one_more_on_each_side() {
        let same = three_rows(8, 1, 1);
        assert_eq!(same.rows(&(0..1)), 0..2);
        assert_eq!(same.rows(&(3..5)), 2..6);
        assert_eq!(same.rows(&(7..8)), 6..8);
    }

    #[test]
    fn strides_step_over_rows() {
        let halved = three_rows(8, 2, 0);
        assert_eq!(halved.rows(&(0..1)), 0..3);
        assert_eq!(halved.rows(&(3..4)), 6..8);
        assert_eq!(halved.first(4), 8);
    }
}
