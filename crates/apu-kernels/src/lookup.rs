//! LOOKUP: any function of one or two bytes, as a table of all its values.

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

#[cfg(target_arch = "aarch64")]
use crate::isa::Level;
use crate::{
    Error, Isa, Sizes,
    limits::{bytes, element_size, exactly, within},
};
use apu_proto::program;

/// The sizes of input, table and output.
///
/// # Errors
///
/// A parameter is out of range, or an operand would be too large.
pub fn sizes(params: &program::Lookup) -> Result<Sizes, Error> {
    within("index_size", params.index_size, 1, 2)?;
    element_size("entry_size", params.entry_size)?;
    Ok(Sizes::new([
        bytes("input", &[params.count, params.index_size])?,
        bytes("table", &[1 << (8 * params.index_size), params.entry_size])?,
        bytes("output", &[params.count, params.entry_size])?,
    ]))
}

/// Computes `output` from `input` by `table`.
///
/// # Errors
///
/// As [`sizes`], and when an operand has another size than it says; nothing has been written then.
pub fn run(
    isa: Isa,
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
        1 => replace_bytes(isa, input, table, output),
        2 => replace::<2>(input, table, output),
        4 => replace::<4>(input, table, output),
        _ => replace::<8>(input, table, output),
    }
    Ok(())
}

#[cfg(target_arch = "aarch64")]
fn replace_bytes(isa: Isa, input: &[u8], table: &[u8], output: &mut [u8]) {
    match isa.level() {
        // SAFETY: the level is a proof that the processor has NEON.
        Level::Neon(_) if table.len() == 1 << 8 => unsafe { neon::replace(input, table, output) },
        _ => replace::<1>(input, table, output),
    }
}

#[cfg(target_arch = "x86_64")]
fn replace_bytes(isa: Isa, input: &[u8], table: &[u8], output: &mut [u8]) {
    match table.try_into() {
        // SAFETY: the permission is a proof that the processor has these parts of AVX-512.
        Ok(table) if isa.permutes_bytes() => unsafe { avx512::replace(input, table, output) },
        _ => replace::<1>(input, table, output),
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn replace_bytes(_isa: Isa, input: &[u8], table: &[u8], output: &mut [u8]) {
    replace::<1>(input, table, output);
}

/// With an entry for every index none can point past the end, so that nothing is checked in the loops.
fn replace<const N: usize>(input: &[u8], table: &[u8], output: &mut [u8]) {
    let (table, output) = (table.as_chunks::<N>().0, output.as_chunks_mut().0);
    if let Ok(table) = <&[_; 1 << 8]>::try_from(table) {
        for (out, &x) in output.iter_mut().zip(input) {
            *out = table[usize::from(x)];
        }
    } else if let Ok(table) = <&[_; 1 << 16]>::try_from(table) {
        for (out, &x) in output.iter_mut().zip(input.as_chunks().0) {
            *out = table[usize::from(u16::from_le_bytes(x))];
        }
    }
}
