//! SELECT and SELECT_V2: from one of two inputs, by a third.

use crate::{
    Error, Isa, Sizes,
    limits::{MAX_BYTES, bytes, element_size, exactly, within},
};
use apu_proto::program::{self, OP_RANK};

/// The sizes of condition, a, b and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(p: &program::Select) -> Result<Sizes, Error> {
    element_size("element_size", p.element_size)?;
    for size in p.shape {
        within("shape", size, 1, MAX_BYTES.into())?;
    }
    for broadcast in p.broadcast {
        within("broadcast", broadcast, 0, (1 << OP_RANK) - 1)?;
    }
    let count = |operand, input: usize| {
        let kept = |dim: usize| p.broadcast[input] >> dim & 1 == 0;
        let shape: [u32; OP_RANK] =
            core::array::from_fn(|dim| if kept(dim) { p.shape[dim] } else { 1 });
        bytes(operand, &shape)
    };
    Ok(Sizes::new([
        count("condition", 0)?,
        bytes("a", &[count("a", 1)?, p.element_size])?,
        bytes("b", &[count("b", 2)?, p.element_size])?,
        bytes("output", &[bytes("output", &p.shape)?, p.element_size])?,
    ]))
}

/// Steps of an input in elements, 0 where it is broadcast.
fn steps(shape: &[u32; OP_RANK], broadcast: u32) -> [usize; OP_RANK] {
    let (mut steps, mut step) = ([0; OP_RANK], 1);
    for dim in (0..OP_RANK).rev().filter(|dim| broadcast >> dim & 1 == 0) {
        steps[dim] = step;
        step *= shape[dim] as usize;
    }
    steps
}

/// Computes `output` from `a` where `condition` isn't 0, else from `b`.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    _isa: Isa,
    params: &program::Select,
    condition: &[u8],
    a: &[u8],
    b: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    let sizes = sizes(params)?;
    let &[condition_size, a_size, b_size, output_size] = sizes.as_slice() else {
        unreachable!("a selection has four operands");
    };
    exactly("condition", condition, condition_size)?;
    exactly("a", a, a_size)?;
    exactly("b", b, b_size)?;
    exactly("output", output, output_size)?;
    let element = params.element_size as usize;
    let strides = params.broadcast.map(|bits| steps(&params.shape, bits));
    let mut index = [0usize; OP_RANK];
    for out in output.chunks_exact_mut(element) {
        let at = |input: usize| {
            let steps = index.iter().zip(&strides[input]);
            steps.map(|(index, step)| index * step).sum::<usize>()
        };
        let (from, start) = if condition[at(0)] != 0 {
            (a, at(1))
        } else {
            (b, at(2))
        };
        out.copy_from_slice(&from[start * element..][..element]);
        advance(&mut index, &params.shape);
    }
    Ok(())
}

/// The index of the next element.
fn advance(index: &mut [usize; OP_RANK], shape: &[u32; OP_RANK]) {
    for dim in (0..OP_RANK).rev() {
        index[dim] += 1;
        if index[dim] < shape[dim] as usize {
            return;
        }
        index[dim] = 0;
    }
}
