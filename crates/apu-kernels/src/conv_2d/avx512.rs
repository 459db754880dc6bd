//! The convolution as a matrix product, four taps of sixteen channels an instruction (AVX512-VNNI).

use super::{
    Conv2d,
    extras::{Extras, extras},
    few::Few,
    outliers::Outliers,
    registers::Tile,
    runs::{MAX_RUN, Run, each_run},
    store::Store,
};
use crate::{
    channel_table::{ChannelTable, LANES},
    x86::{
        avx512::{Finish, load, load_words, sums_of_8, sums_of_pairs},
        ramp::{BENT, FINE, Factors, STRAIGHT},
    },
};
use core::{arch::x86_64::*, ops::Range};

/// Most blocks of channels that a tile works on.
pub(super) const MAX_BLOCKS: usize = 4;
/// Most sums that are rescaled at once: those of some tiles, since each time takes a while to begin.
const MAX_SUMS: usize = 48;

/// Sums of windows side by side, those of a window's blocks one after the other.
pub(super) type Sums = [__m512i; MAX_SUMS];

/// What goes through memory, which tiles in registers do without.
struct Room {
    corrections: [i32; MAX_RUN],
    sums: Sums,
}

impl Room {
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn of(room: &mut Option<Self>) -> &mut Self {
        if room.is_none() {
            *room = Some(Self {
                corrections: [0; MAX_RUN],
                sums: [_mm512_setzero_si512(); MAX_SUMS],
            });
        }
        match room {
            Some(room) => room,
            None => unreachable!("just made"),
        }
    }
}

/// Packed weights: four taps of sixteen channels in each element.
pub(super) type Weights<'a> = &'a [[u8; 64]];

#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
pub(super) fn run(
    conv: &Conv2d,
    input: &[u8],
    weights: &[u8],
    table: ChannelTable<'_>,
    outliers: Outliers<'_>,
    output: &mut [u8],
    scratch: &mut [u8],
) {
    if let Some(few) = Few::new(conv, weights, &table, outliers) {
        return few.run(input, scratch, output);
    }
    // Bytes that must be copied become unsigned then, others when they are multiplied.
    let flips = !conv.unfolds && conv.byte.flip() != 0;
    match flips {
        true => Product::<true>::new(conv, weights, table, outliers).run(input, scratch, output),
        false => Product::<false>::new(conv, weights, table, outliers).run(input, scratch, output),
    }
}

/// What is the same for all runs; `FLIP` says that bytes are still signed.
pub(super) struct Product<'a, const FLIP: bool> {
    pub conv: &'a Conv2d,
    /// Groups of four taps.
    pub depth: usize,
    pub table: ChannelTable<'a>,
    pub outliers: Outliers<'a>,
    weights: Weights<'a>,
    pub flip: __m512i,
    pub finish: Finish,
}

/// `B` blocks of channels.
pub(super) struct Column<'a, const B: usize> {
    pub weights: Weights<'a>,
    pub bias: [__m512i; B],
    /// The outliers, if they have room there.
    pub extras: Option<Extras>,
    pub store: Store<'a, B>,
}

impl<const B: usize> Column<'_, B> {
    #[inline(always)]
    fn has_outliers(&self) -> bool {
        !matches!(self.extras, Some([None, ..]))
    }
}

impl<'a, const FLIP: bool> Product<'a, FLIP> {
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn new(
        conv: &'a Conv2d,
        weights: &'a [u8],
        table: ChannelTable<'a>,
        outliers: Outliers<'a>,
    ) -> Self {
        let flip = if FLIP { conv.byte.flip() } else { 0 };
        Self {
            conv,
            depth: conv.depth / 4,
            table,
            outliers,
            weights: weights.as_chunks().0,
            flip: _mm512_set1_epi8(flip as i8),
            finish: Finish::new(conv.byte, conv.output_zero_point, conv.clamp),
        }
    }

    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn run(&self, input: &[u8], scratch: &mut [u8], output: &mut [u8]) {
        match self.weights.len() / self.depth {
            4 => self.only::<6, 4>(input, scratch, output),
            3 => self.only::<8, 3>(input, scratch, output),
            // With flipping, wider tiles would not be faster.
            2 if FLIP => self.only::<8, 2>(input, scratch, output),
            2 => self.only::<12, 2>(input, scratch, output),
            1 => self.only::<12, 1>(input, scratch, output),
            blocks => self.many(blocks, input, scratch, output),
        }
    }

    /// Everything, if there is but a column, which is prepared once then.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn only<const R: usize, const B: usize>(
        &self,
        input: &[u8],
        scratch: &mut [u8],
        output: &mut [u8],
    ) {
        let column = self.prepare::<B>(0);
        let mut room = None;
        each_run(self.conv, input, scratch, |run| {
            self.correct(run, &mut room);
            self.column::<R, B>(run, &column, &mut room, output);
        });
    }

    /// Everything, column after column of each run.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn many(&self, blocks: usize, input: &[u8], scratch: &mut [u8], output: &mut [u8]) {
        let columns = blocks.div_ceil(MAX_BLOCKS);
        let mut room = None;
        each_run(self.conv, input, scratch, |run| {
            self.correct(run, &mut room);
            let mut block = 0;
            for index in 0..columns {
                let width = (blocks - block).div_ceil(columns - index);
                match width {
                    4 => self.part::<6, 4>(run, block, &mut room, output),
                    3 => self.part::<8, 3>(run, block, &mut room, output),
                    _ => self.part::<12, 2>(run, block, &mut room, output),
                }
                block += width;
            }
        });
    }

    /// A column of a run.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn part<const R: usize, const B: usize>(
        &self,
        run: &Run<'_>,
        block: usize,
        room: &mut Option<Room>,
        output: &mut [u8],
    ) {
        let column = self.prepare::<B>(block);
        self.column::<R, B>(run, &column, room, output);
    }

    /// The column of `B` blocks from `block` on.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn prepare<const B: usize>(&self, block: usize) -> Column<'_, B> {
        let channel = block * LANES;
        let mut bias = [_mm512_setzero_si512(); B];
        for (bias, channel) in bias.iter_mut().zip((channel..).step_by(LANES)) {
            *bias = load_words(self.table.bias.get(channel..).unwrap_or_default());
        }
        Column {
            weights: &self.weights[block * self.depth..][..B * self.depth],
            bias,
            extras: extras(self.outliers, channel..channel + B * LANES, 1),
            store: Store::new(self, channel),
        }
    }

    /// `zero point of the weights · Σ a` of each window.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn correct(&self, run: &Run<'_>, room: &mut Option<Room>) {
        if self.conv.weight_zero_point == 0 {
            return;
        }
        let corrections = &mut Room::of(room).corrections;
        let taps = self.conv.window.kernel_w * self.conv.window.in_c;
        let zero_point = _mm256_set1_epi32(self.conv.weight_zero_point);
        let count = run.pixels.len();
        for (first, corrections) in (0..count).step_by(8).zip(corrections.as_chunks_mut().0) {
            let mut sums = [_mm512_setzero_si512(); 8];
            for kernel_y in 0..self.conv.window.kernel_h {
                let (bytes, stride) = run.kernel_row(self.conv, kernel_y);
                // The last window stands for those that there are too few of.
                let mut starts = [0; 8];
                for (index, start) in starts.iter_mut().enumerate() {
                    *start = (first + index).min(count - 1) * stride;
                }
                assert!(bytes.len() >= starts[7] + taps);
                for offset in (0..taps).step_by(64) {
                    let lanes = u64::MAX >> (64 - (taps - offset).min(64));
                    for (sum, start) in sums.iter_mut().zip(starts) {
                        // SAFETY: no row starts behind the last, whose `taps` bytes are there; the
                        // lanes are some of them.
                        let row = unsafe {
                            let at = bytes.as_ptr().add(start + offset);
                            _mm512_mask_loadu_epi8(self.flip, lanes, at.cast())
                        };
                        *sum = self.add(*sum, row);
                    }
                }
            }
            *corrections = store_8(_mm256_mullo_epi32(sums_of_8(sums), zero_point));
        }
    }

    /// Adds bytes, taken as unsigned, to eight sums.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn add(&self, sums: __m512i, bytes: __m512i) -> __m512i {
        let unsigned = _mm512_xor_si512(bytes, self.flip);
        _mm512_add_epi64(sums, _mm512_sad_epu8(unsigned, _mm512_setzero_si512()))
    }

    /// A run times `B` blocks of channels.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn column<const R: usize, const B: usize>(
        &self,
        run: &Run<'_>,
        column: &Column<'_, B>,
        room: &mut Option<Room>,
        output: &mut [u8],
    ) {
        let tile = match self.conv.weight_zero_point {
            0 => Tile::new(self.conv, run, column),
            _ => None,
        };
        match (&column.store.factors, &column.extras, tile) {
            (Factors::Straight(ramps), Some(extras), Some(tile)) => {
                self.tiles::<B, STRAIGHT>(run, tile, column, (ramps, extras), output);
            }
            (Factors::Bent(ramps), Some(extras), Some(tile)) => {
                self.tiles::<B, BENT>(run, tile, column, (ramps, extras), output);
            }
            (Factors::Fine(ramps), Some(extras), Some(tile)) => {
                self.tiles::<B, FINE>(run, tile, column, (ramps, extras), output);
            }
            _ => self.any_column::<R, B>(run, column, Room::of(room), output),
        }
    }

    /// As [`Self::column`], with any factors, corrections and outliers, `R` windows at once.
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn any_column<const R: usize, const B: usize>(
        &self,
        run: &Run<'_>,
        column: &Column<'_, B>,
        Room { corrections, sums }: &mut Room,
        output: &mut [u8],
    ) {
        let count = run.pixels.len();
        // Tiles of many blocks have sums enough each.
        let most = if B > 2 { R } else { MAX_SUMS / B };
        let (mut first, mut row) = (0, 0);
        while row < count {
            let height = tile_rows::<R, B>(row, count);
            let start = row.min(count - height);
            first = first.min(start);
            self.some_tile::<R, B>(run, start, height, column, &mut sums[(start - first) * B..]);
            row = start + height;
            if row == count || row - first + R > most {
                self.finish::<B>(run, first..row, corrections, column, sums, output);
                first = row;
            }
        }
    }

    /// Stores windows `rows`, after what their sums lack yet.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn finish<const B: usize>(
        &self,
        run: &Run<'_>,
        rows: Range<usize>,
        corrections: &[i32; MAX_RUN],
        column: &Column<'_, B>,
        sums: &mut Sums,
        output: &mut [u8],
    ) {
        if self.conv.weight_zero_point != 0 {
            let sums = sums.as_chunks_mut::<B>().0.iter_mut();
            for (sums, &correction) in sums.zip(&corrections[rows.clone()]) {
                let correction = _mm512_set1_epi32(correction);
                for sum in sums {
                    *sum = _mm512_sub_epi32(*sum, correction);
                }
            }
        }
        if column.has_outliers() {
            self.add_outliers::<B>(run, rows.clone(), column, sums);
        }
        let start = run.pixels.start;
        let pixels = start + rows.start..start + rows.end;
        column.store.rows(sums, pixels, output);
    }

    /// The sums of `height` windows, one of the sizes that [`tile_rows`] gives.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn some_tile<const R: usize, const B: usize>(
        &self,
        run: &Run<'_>,
        first: usize,
        height: usize,
        column: &Column<'_, B>,
        sums: &mut [__m512i],
    ) {
        match height {
            1 => self.any_tile::<1, B>(run, first, column, sums),
            2 => self.any_tile::<2, B>(run, first, column, sums),
            4 => self.any_tile::<4, B>(run, first, column, sums),
            5 if B > 2 => self.any_tile::<5, B>(run, first, column, sums),
            6 => self.any_tile::<6, B>(run, first, column, sums),
            8 if B < 4 => self.any_tile::<8, B>(run, first, column, sums),
            10 if B < 3 => self.any_tile::<10, B>(run, first, column, sums),
            _ => self.any_tile::<R, B>(run, first, column, sums),
        }
    }

    /// The sums of `R` windows times `B` blocks of channels, by what is fastest.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn any_tile<const R: usize, const B: usize>(
        &self,
        run: &Run<'_>,
        row: usize,
        column: &Column<'_, B>,
        out: &mut [__m512i],
    ) {
        if B == 1 {
            let bias = column.bias[0];
            self.narrow_tile::<R>(run, row, column.weights, bias, out);
        } else {
            self.tile::<R, B>(run, row, column, out);
        }
    }

    /// The sums of `R` windows times `B` blocks of channels.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn tile<const R: usize, const B: usize>(
        &self,
        run: &Run<'_>,
        row: usize,
        column: &Column<'_, B>,
        out: &mut [__m512i],
    ) {
        let mut sums = [column.bias; R];
        let groups = self.conv.pitch / 4;
        assert!(column.weights.len() >= B * self.depth);
        for kernel_y in 0..self.conv.window.kernel_h {
            let (bytes, stride) = run.kernel_row(self.conv, kernel_y);
            let bytes = &bytes[row * stride..];
            assert!(bytes.len() >= (R - 1) * stride + 4 * groups);
            let weights = &column.weights[kernel_y * groups..];
            for group in 0..groups {
                let mut w = [_mm512_setzero_si512(); B];
                for (block, w) in w.iter_mut().enumerate() {
                    // SAFETY: there are `B * depth` weights, and a kernel row's groups end within `depth`.
                    *w = load(unsafe { weights.get_unchecked(block * self.depth + group) });
                }
                for (index, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: the last of `R` rows, `stride` apart, has `groups` groups of four bytes.
                    let taps = unsafe { load_4(bytes, index * stride + 4 * group) };
                    let mut taps = _mm512_set1_epi32(taps);
                    if FLIP {
                        taps = _mm512_xor_si512(taps, self.flip);
                    }
                    for (sum, w) in sums.iter_mut().zip(w) {
                        *sum = _mm512_dpbusd_epi32(*sum, taps, w);
                    }
                }
            }
        }
        let out = &mut out[..R * B];
        for index in 0..R {
            for block in 0..B {
                out[index * B + block] = sums[index][block];
            }
        }
    }

    /// As [`Self::tile`], of a single block. Loading a group of taps for each multiplication would
    /// take longer than these; two groups are loaded at once, for one half of the channels after the
    /// other.
    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn narrow_tile<const R: usize>(
        &self,
        run: &Run<'_>,
        row: usize,
        weights: Weights<'_>,
        bias: __m512i,
        out: &mut [__m512i],
    ) {
        let zero = _mm512_setzero_si512();
        let start = [
            _mm512_unpacklo_epi32(bias, zero),
            _mm512_unpackhi_epi32(bias, zero),
        ];
        let mut sums = [start; R];
        let groups = self.conv.pitch / 4;
        assert!(weights.len() >= self.conv.window.kernel_h * groups);
        for kernel_y in 0..self.conv.window.kernel_h {
            let (bytes, stride) = run.kernel_row(self.conv, kernel_y);
            let bytes = &bytes[row * stride..];
            assert!(bytes.len() >= (R - 1) * stride + 4 * groups);
            let (pairs, rest) = weights[kernel_y * groups..][..groups].as_chunks::<2>();
            for (pair, [first, second]) in pairs.iter().enumerate() {
                let (first, second) = (load(first), load(second));
                let halves = [
                    _mm512_unpacklo_epi32(first, second),
                    _mm512_unpackhi_epi32(first, second),
                ];
                for (index, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: the last of `R` rows, `stride` apart, has `groups` groups of four bytes.
                    let taps = unsafe { load_8(bytes, index * stride + 8 * pair) };
                    self.multiply(sums, _mm512_set1_epi64(taps), halves);
                }
            }
            if let [last] = rest {
                let last = load(last);
                let halves = [
                    _mm512_unpacklo_epi32(last, zero),
                    _mm512_unpackhi_epi32(last, zero),
                ];
                for (index, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: as above.
                    let taps = unsafe { load_4(bytes, index * stride + 4 * (groups - 1)) };
                    self.multiply(sums, _mm512_set1_epi32(taps), halves);
                }
            }
        }
        for (out, [low, high]) in out[..R].iter_mut().zip(sums) {
            *out = sums_of_pairs(low, high);
        }
    }

    #[inline]
    #[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
    fn multiply(&self, sums: &mut [__m512i; 2], taps: __m512i, weights: [__m512i; 2]) {
        let taps = if FLIP {
            _mm512_xor_si512(taps, self.flip)
        } else {
            taps
        };
        for (sum, weights) in sums.iter_mut().zip(weights) {
            *sum = _mm512_dpbusd_epi32(*sum, taps, weights);
        }
    }
}

/// Windows of the next tile, `row` of `count` being done: 1 or an even number, at most `R` and `count`, or
/// all five of many blocks. Tiles are about alike. One that reaches past the last window is to begin earlier and does
/// some again.
#[inline(always)]
fn tile_rows<const R: usize, const B: usize>(row: usize, count: usize) -> usize {
    let left = count - row;
    match left.div_ceil(left.div_ceil(R)) {
        1 => 1,
        5 if B > 2 && count == 5 => 5,
        rows if rows.next_multiple_of(2) <= count => rows.next_multiple_of(2),
        rows => rows - 1,
    }
}

/// Four bytes from `offset` on.
///
/// # Safety
///
/// They must be there.
#[inline(always)]
pub(super) unsafe fn load_4(bytes: &[u8], offset: usize) -> i32 {
    // SAFETY: the caller promises four bytes there.
    unsafe { bytes.as_ptr().add(offset).cast::<i32>().read_unaligned() }
}

/// Eight bytes from `offset` on.
///
/// # Safety
///
/// They must be there.
#[inline(always)]
unsafe fn load_8(bytes: &[u8], offset: usize) -> i64 {
    // SAFETY: the caller promises eight bytes there.
    unsafe { bytes.as_ptr().add(offset).cast::<i64>().read_unaligned() }
}

/// Eight words as an array.
#[inline]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn store_8(words: __m256i) -> [i32; 8] {
    let mut array = [0; 8];
    // SAFETY: the reference covers 32 writable bytes, and the store asks for no alignment.
    unsafe { _mm256_storeu_si256((&raw mut array).cast(), words) };
    array
}
