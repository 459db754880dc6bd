//! LOOKUP: any function of one byte, as a table of its 256 values.

use crate::{
    Error, Isa, Sizes,
    limits::{bytes, element_size, exactly},
};
use apu_proto::program;

/// The sizes of input, table and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::Lookup) -> Result<Sizes, Error> {
    element_size("entry_size", params.entry_size)?;
    Ok(Sizes::new([
        bytes("input", &[params.count])?,
        bytes("table", &[256, params.entry_size])?,
        bytes("output", &[params.count, params.entry_size])?,
    ]))
}

/// Computes `output` from `input` by `table`.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    _isa: Isa,
    params: &program::Lookup,
    input: &[u8],
    table: &[u8],
    output: &mut [u8],
) -> Result<(), Error> {
    let sizes = sizes(params)?;
    let &[input_size, table_size, output_size] = sizes.as_slice() else {
        unreachable!("a look-up has three operands");
    };
    exactly("input", input, input_size)?;
    exactly("table", table, table_size)?;
    exactly("output", output, output_size)?;
    match params.entry_size {
        1 => replace::<1>(input, table, output),
        2 => replace::<2>(input, table, output),
        4 => replace::<4>(input, table, output),
        _ => replace::<8>(input, table, output),
    }
    Ok(())
}

fn replace<const N: usize>(input: &[u8], table: &[u8], output: &mut [u8]) {
    // With 256 entries no byte can point past the end, so that nothing is checked in the loop.
    let Some(table) = table.as_chunks::<N>().0.first_chunk::<256>() else {
        return;
    };
    for (out, &x) in output.as_chunks_mut().0.iter_mut().zip(input) {
        *out = table[usize::from(x)];
    }
}
