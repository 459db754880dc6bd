//! Shares: parts of an operator's work that several cores can do at the same time.
//!
//! A share is an operator of its own, of the same kind, on some of the bytes. Those that it writes
//! are no other share's.

use core::ops::Range;

/// Most shares of an operator.
pub const MAX_SHARES: usize = 8;

/// The bytes of a share.
#[derive(Clone, Debug)]
pub struct Cut {
    /// Its part of each of the first two operands; further ones that are read it reads whole.
    pub reads: [Range<usize>; 2],
    /// Its part of the output. Those of all shares, in their order, are the output.
    pub output: Range<usize>,
    /// Bytes of scratch that it needs, which no other share may use.
    pub scratch: usize,
}

/// Which part of something: one of `of`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub index: usize,
    pub of: usize,
}

impl Part {
    /// This part of `0..count`.
    pub fn range(self, count: usize) -> Range<usize> {
        let at = |index: usize| (index * count).div_ceil(self.of);
        at(self.index)..at(self.index + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_whole_in_order() {
        for (count, of) in [(7, 2), (49, 4), (3, 3), (2, 3)] {
            let mut end = 0;
            for index in 0..of {
                let range = Part { index, of }.range(count);
                assert_eq!(range.start, end);
                end = range.end;
            }
            assert_eq!(end, count);
        }
    }
}
