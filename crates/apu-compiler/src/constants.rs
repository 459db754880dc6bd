//! Reading the elements of constant tensors.

use crate::graph::{Element, Tensor};

/// Elements of an int32 or int64 tensor that is constant or empty; `None` for anything else.
pub(crate) fn integers(tensor: &Tensor) -> Option<Vec<i64>> {
    let data = match tensor.count() {
        0 => Some(&[][..]),
        _ => tensor.elements(),
    };
    match tensor.element {
        Element::INT32 => Some(
            words(data?)
                .map(|w| i64::from(i32::from_le_bytes(w)))
                .collect(),
        ),
        Element::INT64 => Some(words(data?).map(i64::from_le_bytes).collect()),
        _ => None,
    }
}

/// The whole words of `N` bytes in `data`.
fn words<const N: usize>(data: &[u8]) -> impl Iterator<Item = [u8; N]> {
    data.as_chunks().0.iter().copied()
}

/// Dimensions that a constant tensor of axes names in a tensor of this rank; negative ones count
/// from the end.
pub(crate) fn axes(tensor: &Tensor, rank: usize) -> Option<Vec<usize>> {
    let rank = rank as i64;
    let place = |axis: i64| {
        usize::try_from(if axis < 0 { axis + rank } else { axis })
            .ok()
            .filter(|&i| (i as i64) < rank)
    };
    integers(tensor)?.into_iter().map(place).collect()
}
