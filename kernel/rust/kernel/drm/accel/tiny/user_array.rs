// SPDX-License-Identifier: GPL-2.0

//! What ioctls read and write beside their argument: structures that may grow with the version of
//! the uAPI, and strings.

use crate::{
    prelude::*,
    str::CString,
    uaccess::{
        UserSlice,
        UserSliceReader, //
    },
};
use core::mem::size_of;
use zerocopy::{
    FromBytes,
    Immutable,
    IntoBytes, //
};

/// Most bytes of one structure of the caller. It leaves room to grow and bounds the work.
const MAX_STRIDE: usize = 1024;

/// Reads `count` elements, each `stride` bytes from the one before.
///
/// The caller may be newer than the kernel: a longer element is fine as long as the rest is zero.
/// Fails with [`EINVAL`] for a wrong `count` or `stride`, with [`E2BIG`] for a rest that is not
/// zero.
pub fn read_array<T: FromBytes + IntoBytes>(
    address: u64,
    count: u32,
    stride: u32,
    max_count: u32,
) -> Result<KVec<T>> {
    let (count, stride) = (count as usize, stride as usize);
    if count > max_count as usize {
        return Err(EINVAL);
    }
    if count == 0 {
        return Ok(KVec::new());
    }
    if !(size_of::<T>()..=MAX_STRIDE).contains(&stride) {
        return Err(EINVAL);
    }
    let mut reader = user_slice(address, count * stride)?.reader();
    let mut elements = KVec::with_capacity(count, GFP_KERNEL_ACCOUNT)?;
    for _ in 0..count {
        let mut element = T::new_zeroed();
        reader.read_slice(element.as_mut_bytes())?;
        elements.push(element, GFP_KERNEL_ACCOUNT)?;
        skip_zeroes(&mut reader, stride - size_of::<T>())?;
    }
    Ok(elements)
}

/// Writes as much of `value` as fits into the `size` bytes at `address` and zeroes the rest.
///
/// Fails with [`E2BIG`] when `size` is absurd.
pub fn write_struct<T: IntoBytes + Immutable>(address: u64, size: u32, value: &T) -> Result {
    let size = size as usize;
    if size > MAX_STRIDE {
        return Err(E2BIG);
    }
    let bytes = value.as_bytes();
    let known = size.min(bytes.len());
    let mut writer = user_slice(address, size)?.writer();
    writer.write_slice(bytes.get(..known).ok_or(EINVAL)?)?;
    for _ in known..size {
        writer.write(&0u8)?;
    }
    Ok(())
}

/// Reads a string that ends with a 0; [`E2BIG`] if it has more than `max_size` bytes with that.
pub fn read_string(address: u64, max_size: usize) -> Result<CString> {
    // One more byte, to tell a string that is too long.
    let mut bytes = KVec::from_elem(0, max_size + 1, GFP_KERNEL)?;
    let reader = user_slice(address, bytes.len())?.reader();
    let string = reader.strcpy_into_buf(&mut bytes)?;
    if string.to_bytes().len() >= max_size {
        return Err(E2BIG);
    }
    Ok(CString::try_from(string)?)
}

fn user_slice(address: u64, size: usize) -> Result<UserSlice> {
    let address = usize::try_from(address).map_err(|_| EFAULT)?;
    Ok(UserSlice::new(UserPtr::from_addr(address), size))
}

fn skip_zeroes(reader: &mut UserSliceReader, count: usize) -> Result {
    for _ in 0..count {
        if reader.read::<u8>()? != 0 {
            return Err(E2BIG);
        }
    }
    Ok(())
}
