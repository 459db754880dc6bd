//! Borrows apart what an operator reads and what it writes.

use apu_proto::program::Operand;
use core::mem::take;

/// Writable memory of some segments, cut at the operands that are written. Memory that has been cut
/// out can't be found any more, so no byte is reachable twice.
#[derive(Default)]
pub struct Pieces<'a> {
    list: [Piece<'a>; MAX_PIECES],
    count: usize,
}

/// Two segments, and one more piece for each of two cuts.
const MAX_PIECES: usize = 4;

#[derive(Default)]
struct Piece<'a> {
    segment: u32,
    start: usize,
    bytes: &'a mut [u8],
}

impl Piece<'_> {
    /// Where the operand begins within the piece, if all of it lies there.
    fn offset(&self, operand: Operand) -> Option<usize> {
        let offset = (operand.offset as usize).checked_sub(self.start)?;
        let end = offset.checked_add(operand.size as usize)?;
        (self.segment == operand.segment && end <= self.bytes.len()).then_some(offset)
    }
}

impl<'a> Pieces<'a> {
    /// Adds memory of `segment` that begins at its byte `start`.
    pub fn add(&mut self, segment: u32, start: usize, bytes: &'a mut [u8]) {
        if let Some(free) = self.list.get_mut(self.count) {
            *free = Piece {
                segment,
                start,
                bytes,
            };
            self.count += 1;
        }
    }

    /// Cuts out the memory of an operand.
    pub fn cut(&mut self, operand: Operand) -> Option<&'a mut [u8]> {
        let (piece, offset) = self
            .list
            .iter_mut()
            .find_map(|piece| piece.offset(operand).map(|offset| (piece, offset)))?;
        let (before, rest) = take(&mut piece.bytes).split_at_mut_checked(offset)?;
        let (cut, after) = rest.split_at_mut_checked(operand.size as usize)?;
        piece.bytes = before;
        let start = piece.start + offset + cut.len();
        self.add(operand.segment, start, after);
        Some(cut)
    }

    /// The memory of an operand that is only read.
    pub fn find(&self, operand: Operand) -> Option<&[u8]> {
        self.list.iter().find_map(|piece| {
            let offset = piece.offset(operand)?;
            piece.bytes.get(offset..offset + operand.size as usize)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn operand(segment: u32, offset: u32, size: u32) -> Operand {
        Operand {
            segment,
            offset,
            size,
        }
    }

    #[test]
    fn what_is_cut_out_is_gone_and_the_rest_is_found() {
        let mut arena: std::vec::Vec<u8> = (0..10).collect();
        let mut pieces = Pieces::default();
        pieces.add(1, 0, &mut arena);
        let first = pieces.cut(operand(1, 4, 2)).unwrap();
        let second = pieces.cut(operand(1, 7, 2)).unwrap();
        assert_eq!((&*first, &*second), (&[4, 5][..], &[7, 8][..]));
        assert_eq!(pieces.find(operand(1, 0, 4)).unwrap(), [0, 1, 2, 3]);
        assert_eq!(pieces.find(operand(1, 6, 1)).unwrap(), [6]);
        assert_eq!(pieces.find(operand(1, 9, 1)).unwrap(), [9]);
        // Bytes that were cut out, the end, another segment.
        assert!(pieces.find(operand(1, 3, 2)).is_none());
        assert!(pieces.find(operand(1, 8, 1)).is_none());
        assert!(pieces.cut(operand(1, 5, 2)).is_none());
        assert!(pieces.find(operand(1, 9, 2)).is_none());
        assert!(pieces.find(operand(2, 0, 1)).is_none());
    }
}
