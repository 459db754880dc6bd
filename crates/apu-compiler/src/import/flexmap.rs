//! The one kind of FlexBuffer that custom operators have: a map of numbers.
//!
//! A value is as wide as the lowest two bits of its type say, and references count back from where
//! they stand. The crate `flexbuffers` trusts both, and so panics on what a damaged model has there.

/// Types that are read, in the upper six bits of a type byte.
mod kind {
    pub const INT: u8 = 1;
    pub const UINT: u8 = 2;
    pub const FLOAT: u8 = 3;
    pub const INDIRECT_INT: u8 = 6;
    pub const INDIRECT_UINT: u8 = 7;
    pub const INDIRECT_FLOAT: u8 = 8;
    pub const MAP: u8 = 9;
    pub const BOOL: u8 = 26;
}

/// A map from names to numbers.
pub(super) struct FlexMap<'a> {
    bytes: &'a [u8],
    /// Where the values begin, how many there are, and how wide each is.
    values: usize,
    count: usize,
    width: usize,
    /// Where the keys' references begin, and how wide each is.
    keys: usize,
    keys_width: usize,
}

impl<'a> FlexMap<'a> {
    /// The map that is the root of a FlexBuffer; `None` for anything else.
    pub fn root(bytes: &'a [u8]) -> Option<Self> {
        let &[.., root_type, root_width] = bytes else {
            return None;
        };
        if root_type >> 2 != kind::MAP {
            return None;
        }
        let at = (bytes.len() - 2).checked_sub(root_width.into())?;
        let width = 1 << (root_type & 3);
        let values = reference(bytes, at, root_width.into())?;
        // Before the values: the keys' reference, their width, and the count.
        let head = |back: usize| values.checked_sub(back * width);
        Some(Self {
            bytes,
            values,
            count: size(bytes, head(1)?, width)?,
            width,
            keys: reference(bytes, head(3)?, width)?,
            keys_width: size(bytes, head(2)?, width)?,
        })
    }

    /// The number of this name.
    pub fn number(&self, key: &str) -> Option<f64> {
        // More values than bytes there can't be.
        let count = self.count.min(self.bytes.len());
        let index = (0..count).find(|&index| self.is_key(index, key) == Some(true))?;
        let at = self.values.checked_add(index * self.width)?;
        let types = self
            .values
            .checked_add(self.count.checked_mul(self.width)?)?;
        let kind = *self.bytes.get(types.checked_add(index)?)?;
        let direct = |kind| number(self.bytes, kind, at, self.width);
        let indirect = |kind_of, kind: u8| {
            let at = reference(self.bytes, at, self.width)?;
            number(self.bytes, kind_of, at, 1 << (kind & 3))
        };
        match kind >> 2 {
            kind::INDIRECT_INT => indirect(kind::INT, kind),
            kind::INDIRECT_UINT => indirect(kind::UINT, kind),
            kind::INDIRECT_FLOAT => indirect(kind::FLOAT, kind),
            scalar => direct(scalar),
        }
    }

    fn is_key(&self, index: usize, key: &str) -> Option<bool> {
        let at = self.keys.checked_add(index.checked_mul(self.keys_width)?)?;
        let at = reference(self.bytes, at, self.keys_width)?;
        let text = self.bytes.get(at..)?.strip_prefix(key.as_bytes())?;
        Some(text.first() == Some(&0))
    }
}

/// Where the reference at `at` leads.
fn reference(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    at.checked_sub(size(bytes, at, width)?)
}

fn size(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(wide(bytes, at, width, 0)?)).ok()
}

/// The bytes of a value, behind them `fill` up to eight.
fn wide(bytes: &[u8], at: usize, width: usize, fill: u8) -> Option<[u8; 8]> {
    let value = bytes.get(at..at.checked_add(width)?)?;
    let mut wide = [fill; 8];
    wide.get_mut(..width)?.copy_from_slice(value);
    Some(wide)
}

fn number(bytes: &[u8], kind: u8, at: usize, width: usize) -> Option<f64> {
    let unsigned = wide(bytes, at, width, 0)?;
    match (kind, width) {
        (kind::UINT | kind::BOOL, _) => Some(u64::from_le_bytes(unsigned) as f64),
        (kind::INT, _) => {
            let negative = unsigned.get(width.checked_sub(1)?)? & 0x80 != 0;
            let fill = if negative { 0xff } else { 0 };
            Some(i64::from_le_bytes(wide(bytes, at, width, fill)?) as f64)
        }
        (kind::FLOAT, 4) => {
            let bits = u32::try_from(u64::from_le_bytes(unsigned)).ok()?;
            Some(f32::from_bits(bits).into())
        }
        (kind::FLOAT, 8) => Some(f64::from_le_bytes(unsigned)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"a": 200, "b": 0.5}` with values of four bytes, and `{"a": -1}` with values of one.
    #[rustfmt::skip]
    const NUMBERS: &[u8] = &[
        b'a', 0, b'b', 0, 2, 5, 4, 0, // the keys, their count, and a reference to each
        3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, // a reference to the keys, their width, the count
        200, 0, 0, 0, 0, 0, 0, 0x3f, // 200 and 0.5
        kind::INT << 2, kind::FLOAT << 2 | 2, // their types
        10, kind::MAP << 2 | 2, 1,
    ];
    #[rustfmt::skip]
    const ONE: &[u8] = &[
        b'a', 0, 1, 3, 1, 1, 1, 0xff, kind::INT << 2, 2, kind::MAP << 2, 1,
    ];

    #[test]
    fn numbers_are_found_by_name() {
        let map = FlexMap::root(NUMBERS).unwrap();
        assert_eq!((map.number("a"), map.number("b")), (Some(200.0), Some(0.5)));
        assert_eq!(map.number("c"), None);
        let map = FlexMap::root(ONE).unwrap();
        assert_eq!(map.number("a"), Some(-1.0));
    }

    #[test]
    fn no_byte_makes_it_panic() {
        for good in [NUMBERS, ONE] {
            for at in 0..good.len() {
                for value in [0, 1, 3, 0x7f, 0x80, 0xff] {
                    let mut bytes = good.to_vec();
                    bytes[at] = value;
                    let map = FlexMap::root(&bytes);
                    map.and_then(|map| map.number("b"));
                    FlexMap::root(&good[..at]).and_then(|map| map.number("b"));
                }
            }
        }
    }
}
