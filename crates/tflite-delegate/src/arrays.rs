//! `TfLiteIntArray` and its kin: reading the runtime's, making our own.

use core::ffi::c_int;
use core::slice;

use crate::delegate::Error;
use crate::sys::ArrayHead;

/// The elements of an array of the runtime; none for NULL or a negative size.
///
/// # Safety
/// `array` is NULL, or an array of `T` that lives and doesn't change for `'a`. The elements follow
/// the head at the alignment of `T`, which is 4.
pub(crate) unsafe fn elements<'a, T>(array: *const ArrayHead) -> &'a [T] {
    const { assert!(size_of::<T>() == 4 && align_of::<T>() == 4) };
    // SAFETY: by contract NULL or an array's head.
    let Some(head) = (unsafe { array.as_ref() }) else {
        return &[];
    };
    let size = usize::try_from(head.size).unwrap_or(0);
    // SAFETY: by contract `size` elements follow the head, which is as long as one of them.
    unsafe { slice::from_raw_parts(array.cast::<T>().add(1), size) }
}

/// A `TfLiteIntArray` of our own: its size, then its elements.
pub(crate) struct IntArray(Vec<c_int>);

impl IntArray {
    pub fn new(elements: impl IntoIterator<Item = c_int>) -> Self {
        let mut all = vec![0];
        all.extend(elements);
        if let Some((size, rest)) = all.split_first_mut() {
            *size = c_int::try_from(rest.len()).unwrap_or(c_int::MAX);
        }
        Self(all)
    }

    /// Valid for as long as `self`.
    pub fn as_ptr(&self) -> *const ArrayHead {
        self.0.as_ptr().cast()
    }
}

/// An array for the runtime to keep, which frees it as C does.
///
/// # Errors
/// Memory is short.
pub(crate) fn malloced(elements: &[c_int]) -> Result<*mut ArrayHead, Error> {
    let array = IntArray::new(elements.iter().copied());
    // SAFETY: any size may be asked for.
    let memory = unsafe { libc::malloc(size_of_val(array.0.as_slice())) }.cast::<c_int>();
    if memory.is_null() {
        return Err(format!("no memory for a shape of {} dimensions", elements.len()).into());
    }
    // SAFETY: `malloc` gave as many bytes as the array has, aligned for any type.
    unsafe { memory.copy_from_nonoverlapping(array.0.as_ptr(), array.0.len()) };
    Ok(memory.cast())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_can_be_read() {
        let array = IntArray::new([7, -1, 3]);
        // SAFETY: `array` is such an array and outlives the slice.
        assert_eq!(unsafe { elements::<c_int>(array.as_ptr()) }, [7, -1, 3]);
    }

    #[test]
    fn null_and_nonsense_are_empty() {
        let nonsense = ArrayHead { size: -4 };
        // SAFETY: NULL is allowed.
        assert!(unsafe { elements::<c_int>(core::ptr::null()) }.is_empty());
        // SAFETY: a head without elements.
        assert!(unsafe { elements::<c_int>(&nonsense) }.is_empty());
    }
}
