//! Typed views of a graph's tensors.

use core::ffi::{CStr, c_char, c_int};
use core::marker::PhantomData;
use core::slice;
use std::borrow::Cow;

use crate::arrays::{elements, malloced};
use crate::delegate::Error;
use crate::sys;

/// Index of a tensor in its graph.
pub type TensorId = usize;

/// All tensors of a graph.
pub struct Tensors<'a> {
    context: *mut sys::Context,
    runtime: PhantomData<&'a mut sys::Context>,
}

impl<'a> Tensors<'a> {
    /// # Safety
    /// `context` is the runtime's and valid for `'a`, in which nothing else uses its tensors.
    pub(crate) unsafe fn new(context: *mut sys::Context) -> Self {
        Self {
            context,
            runtime: PhantomData,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        // SAFETY: `new` was promised a valid context.
        unsafe { (*self.context).tensors_size }
    }

    /// The tensor at an index.
    pub fn get(&self, id: TensorId) -> Option<Tensor<'_>> {
        // SAFETY: the runtime keeps `tensors_size` tensors there, and lends them with the context.
        let tensor = self.raw(id).map(|tensor| unsafe { &*tensor })?;
        Some(Tensor { raw: tensor })
    }

    /// The bytes of a tensor to be written; `None` when it has no memory now.
    pub fn bytes_mut(&mut self, id: TensorId) -> Option<&mut [u8]> {
        // SAFETY: as in `get`; `&mut self` keeps every other view of the tensors away.
        let tensor = self.raw(id).map(|tensor| unsafe { &mut *tensor })?;
        let writable = tensor.allocation_type != sys::ALLOCATION_MMAP_RO;
        if tensor.data.is_null() || !writable {
            return None;
        }
        // SAFETY: the runtime keeps `bytes` bytes at `data`, ours to write during a call if the
        // tensor is no constant.
        Some(unsafe { slice::from_raw_parts_mut(tensor.data, tensor.bytes) })
    }

    /// Gives a tensor another shape, and memory for it.
    ///
    /// # Errors
    /// There is no such tensor, or the runtime refuses.
    pub fn resize(&mut self, id: TensorId, shape: &[i32]) -> Result<(), Error> {
        let tensor = self.raw(id).ok_or("no such tensor")?;
        // SAFETY: `new` was promised a valid context.
        let context = unsafe { &*self.context };
        let (explicit, taking) = (context.resize_tensor_explicit, context.resize_tensor);
        let status = match (explicit, taking) {
            (Some(resize), _) => {
                let rank = c_int::try_from(shape.len())?;
                // SAFETY: the function is called with its own context, one of its tensors, and a
                // shape of that rank, which it copies; `&mut self` keeps every view away.
                unsafe { resize(self.context, tensor, rank, shape.as_ptr()) }
            }
            // SAFETY: as above, with an array that the function takes and frees.
            (None, Some(resize)) => unsafe { resize(self.context, tensor, malloced(shape)?) },
            (None, None) => return Err("the runtime can't resize tensors".into()),
        };
        match status {
            sys::OK => Ok(()),
            status => Err(format!("the runtime's resize failed with status {status}").into()),
        }
    }

    fn raw(&self, id: TensorId) -> Option<*mut sys::Tensor> {
        // SAFETY: `new` was promised a valid context.
        let tensors = unsafe { (*self.context).tensors };
        // SAFETY: the runtime keeps `tensors_size` tensors at `tensors`.
        (id < self.count()).then(|| unsafe { tensors.add(id) })
    }
}

/// One tensor, as it is now.
#[derive(Clone, Copy)]
pub struct Tensor<'a> {
    raw: &'a sys::Tensor,
}

impl<'a> Tensor<'a> {
    /// Its name in the model, often a path.
    pub fn name(&self) -> Cow<'a, str> {
        // SAFETY: the runtime's names are NULL or C strings that live as long as the graph.
        unsafe { text(self.raw.name) }
    }

    /// Type of the elements.
    pub fn element(&self) -> Element {
        Element(self.raw.element)
    }

    /// Dimensions, outermost first.
    pub fn shape(&self) -> &'a [i32] {
        // SAFETY: `dims` is NULL or the runtime's array, which changes only when it resizes the
        // tensor, and that never during a call of ours.
        unsafe { elements(self.raw.dims) }
    }

    /// Size of the elements in bytes.
    pub fn size(&self) -> usize {
        self.raw.bytes
    }

    /// The elements; `None` when the tensor has no memory now.
    pub fn bytes(&self) -> Option<&'a [u8]> {
        // SAFETY: the runtime keeps `bytes` bytes at `data`, and doesn't write them during a call.
        (!self.raw.data.is_null())
            .then(|| unsafe { slice::from_raw_parts(self.raw.data, self.raw.bytes) })
    }

    /// The elements if the model has them.
    pub fn constant(&self) -> Option<&'a [u8]> {
        self.bytes()
            .filter(|_| self.raw.allocation_type == sys::ALLOCATION_MMAP_RO)
    }

    /// Whether its shape is settled during the run alone, by what writes it.
    pub fn is_dynamic(&self) -> bool {
        self.raw.allocation_type == sys::ALLOCATION_DYNAMIC
    }

    /// Whether it keeps its value between inferences.
    pub fn is_variable(&self) -> bool {
        self.raw.is_variable
    }

    /// Whether its elements are stored sparse.
    pub fn is_sparse(&self) -> bool {
        !self.raw.sparsity.is_null()
    }

    /// Scales, zero points and the dimension that several of them run along, if it has any.
    pub fn quantization(&self) -> Option<(&'a [f32], &'a [i32], i32)> {
        if self.raw.quantization_type != sys::QUANTIZATION_AFFINE {
            return None;
        }
        // SAFETY: with this type `params` is NULL or such a structure, which lives with the tensor.
        let affine = unsafe { self.raw.quantization_params.as_ref() }?;
        // SAFETY: NULL or an array of float32, which lives with the tensor.
        let scales = unsafe { elements(affine.scale) };
        // SAFETY: NULL or an array of int32, which lives with the tensor.
        let zero_points = unsafe { elements(affine.zero_point) };
        Some((scales, zero_points, affine.quantized_dimension))
    }
}

/// `TfLiteType`, which counts otherwise than the schema of `.tflite`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element(pub i32);

impl Element {
    /// The number in the schema's `TensorType`; `None` for no type at all.
    pub fn in_schema(self) -> Option<i8> {
        let number = match self.0 {
            1 => 0,
            10 => 1,
            number @ 2..=9 => number,
            number if number > 10 => number - 1,
            _ => return None,
        };
        i8::try_from(number).ok()
    }
}

/// A C string of the runtime; empty for NULL.
///
/// # Safety
/// `text` is NULL or a C string that lives and doesn't change for `'a`.
pub(crate) unsafe fn text<'a>(text: *const c_char) -> Cow<'a, str> {
    if text.is_null() {
        return Cow::Borrowed("");
    }
    // SAFETY: by contract.
    unsafe { CStr::from_ptr(text) }.to_string_lossy()
}

#[cfg(test)]
mod tests {
    use super::Element;

    #[test]
    fn the_schema_counts_otherwise() {
        let float32_int32_int8_float16_float64_int4 = [1, 2, 9, 10, 11, 18];
        let in_schema = float32_int32_int8_float16_float64_int4.map(|n| Element(n).in_schema());
        assert_eq!(in_schema, [0, 2, 9, 1, 10, 17].map(Some));
        assert_eq!(Element(0).in_schema(), None);
    }
}
