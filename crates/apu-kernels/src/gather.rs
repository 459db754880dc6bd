//! GATHER and GATHER_ND: slices picked by index.

use crate::{
    Error, Isa, Sizes,
    limits::{MAX_BYTES, bytes, exactly, within},
};
use apu_proto::program::{self, DType, OP_RANK};

/// Parameters in range.
#[derive(Clone, Copy, Debug)]
struct Gather {
    outer: usize,
    count: usize,
    depth: usize,
    inner: usize,
    wide: bool,
    dims: [u32; OP_RANK],
    sizes: Sizes,
}

impl Gather {
    fn new(p: &program::Gather) -> Result<Self, Error> {
        let wide = match DType::from_raw(p.index_dtype) {
            Some(DType::Int32) => false,
            Some(DType::Int64) => true,
            _ => {
                return Err(Error::Type {
                    field: "index_dtype",
                    got: p.index_dtype,
                    allowed: "int32 (4) or int64 (5)",
                });
            }
        };
        within("depth", p.depth, 1, OP_RANK as i64)?;
        for (field, size) in [
            ("batches", p.batches),
            ("outer", p.outer),
            ("count", p.count),
            ("inner", p.inner),
        ] {
            within(field, size, 1, MAX_BYTES.into())?;
        }
        for (dim, size) in (0..).zip(p.dims) {
            let most = if dim < p.depth { MAX_BYTES } else { 1 };
            within("dims", size, 1, most.into())?;
        }
        let picked = bytes("input", &p.dims)?;
        let index = if wide { 8 } else { 4 };
        Ok(Self {
            outer: p.outer as usize,
            count: p.count as usize,
            depth: p.depth as usize,
            inner: p.inner as usize,
            wide,
            dims: p.dims,
            sizes: Sizes::new([
                bytes("input", &[p.batches, p.outer, picked, p.inner])?,
                bytes("indices", &[p.batches, p.count, p.depth, index])?,
                bytes("output", &[p.batches, p.outer, p.count, p.inner])?,
            ]),
        })
    }

    /// The slice that a tuple of indices names.
    fn slice(&self, tuple: &[u8]) -> Result<usize, Error> {
        let mut slice = 0;
        for (stored, &size) in tuple.chunks_exact(self.index_bytes()).zip(&self.dims) {
            let got = integer(stored);
            let index = u32::try_from(got).ok().filter(|&index| index < size);
            let index = index.ok_or(Error::Index { got, size })?;
            slice = slice * size as usize + index as usize;
        }
        Ok(slice)
    }

    const fn index_bytes(&self) -> usize {
        if self.wide { 8 } else { 4 }
    }

    /// One batch.
    fn pick(&self, input: &[u8], indices: &[u8], output: &mut [u8]) -> Result<(), Error> {
        let outer = input.chunks_exact(input.len() / self.outer);
        let outputs = output.chunks_exact_mut(self.count * self.inner);
        for (input, output) in outer.zip(outputs) {
            let tuples = indices.chunks_exact(self.depth * self.index_bytes());
            for (tuple, out) in tuples.zip(output.chunks_exact_mut(self.inner)) {
                let start = self.slice(tuple)? * self.inner;
                out.copy_from_slice(&input[start..start + self.inner]);
            }
        }
        Ok(())
    }
}

/// A little-endian integer of four or eight bytes.
fn integer(stored: &[u8]) -> i64 {
    match (stored.first_chunk(), stored.first_chunk()) {
        (Some(&wide), _) => i64::from_le_bytes(wide),
        (None, Some(&narrow)) => i32::from_le_bytes(narrow).into(),
        (None, None) => 0,
    }
}

/// The sizes of input, indices and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::Gather) -> Result<Sizes, Error> {
    Ok(Gather::new(params)?.sizes)
}

/// Computes `output` from `input` and `indices`.
///
/// # Errors
///
/// As [`sizes`], when an operand has another size than it says (nothing has been written then), and
/// [`Error::Index`] when an index is outside its dimension.
pub fn run(
    _isa: Isa,
    params: &program::Gather,
    input: &[u8],
    indices: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    let gather = Gather::new(params)?;
    let &[input_size, indices_size, output_size] = gather.sizes.as_slice() else {
        unreachable!("a gather has three operands");
    };
    exactly("input", input, input_size)?;
    exactly("indices", indices, indices_size)?;
    exactly("output", output, output_size)?;
    let batches = params.batches as usize;
    let inputs = input.chunks_exact(input.len() / batches);
    let indices = indices.chunks_exact(indices.len() / batches);
    let outputs = output.chunks_exact_mut(output.len() / batches);
    for ((input, indices), output) in inputs.zip(indices).zip(outputs) {
        gather.pick(input, indices, output)?;
    }
    Ok(())
}
