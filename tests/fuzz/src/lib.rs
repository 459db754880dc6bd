//! What the targets have in common.

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes that any input may take: a small model may have a constant of 1 MiB computed when compiling, and
/// each program that runs has its segments once for each instruction set.
const AT_LEAST: usize = 32 << 20;
/// Bytes for each byte of the input.
const FOR_A_BYTE: usize = 1 << 10;

/// Reads an input, and demands that it takes memory in proportion to its size. How long it takes is what
/// libFuzzer looks after.
pub fn bounded(input: &[u8], read: impl FnOnce(&[u8])) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    read(input);
    let taken = MEMORY.peak_usage().saturating_sub(before);
    let most = AT_LEAST + FOR_A_BYTE * input.len();
    assert!(taken <= most, "{taken} bytes for {}", input.len());
}

/// Changes the input of `size` bytes at the front of `data`: half the time by `change`, which knows what it is,
/// else its bytes. The size behind that is returned.
pub fn mutate(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    change: impl FnOnce(&[u8], u64) -> Option<Vec<u8>>,
) -> usize {
    let knowing = seed % 2 == 0;
    let changed = knowing.then(|| change(&data[..size], seed.into()));
    match changed.flatten() {
        Some(changed) if changed.len() <= max_size => {
            data[..changed.len()].copy_from_slice(&changed);
            changed.len()
        }
        _ => libfuzzer_sys::fuzzer_mutate(data, size, max_size),
    }
}
