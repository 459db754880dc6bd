//! Which instructions the operators may use.

/// Permission to use a set of instructions. Apart from the plain one, a value exists only if the
/// processor that it was made on has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Isa {
    level: Level,
    /// Whether bytes may be looked up among those of two registers (AVX-512 VBMI).
    permutes_bytes: bool,
}

/// What an [`Isa`] permits; each level contains those before it, but for AVX2-VNNI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx2Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    #[cfg(target_arch = "aarch64")]
    Neon(Products),
}

/// How NEON multiplies bytes; each has the ones before it as well.
#[cfg(target_arch = "aarch64")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Products {
    /// One by one into 16 bits.
    Long,
    /// Four into a sum (FEAT_DotProd).
    Dot,
    /// Eight into a sum, of two rows and two columns (FEAT_I8MM).
    Matrix,
}

impl Isa {
    const fn of(level: Level) -> Self {
        Self {
            level,
            permutes_bytes: false,
        }
    }

    /// What every processor has.
    pub const fn plain() -> Self {
        Self::of(Level::Plain)
    }

    /// The best of this processor. Asking the processor can take microseconds under a hypervisor,
    /// so keep the answer.
    pub fn detect() -> Self {
        Self::all_available().last().unwrap_or(Self::plain())
    }

    /// Everything that this processor can run, slowest first.
    pub fn all_available() -> impl Iterator<Item = Self> {
        core::iter::once(Self::plain()).chain(fast())
    }

    /// A short name for people.
    pub const fn name(self) -> &'static str {
        match self.level {
            Level::Plain => "plain",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2Vnni => "avx2-vnni",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni if self.permutes_bytes => "avx512-vbmi",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni => "avx512-vnni",
            #[cfg(target_arch = "aarch64")]
            Level::Neon(Products::Long) => "neon",
            #[cfg(target_arch = "aarch64")]
            Level::Neon(Products::Dot) => "neon-dotprod",
            #[cfg(target_arch = "aarch64")]
            Level::Neon(Products::Matrix) => "neon-i8mm",
        }
    }

    pub(crate) const fn level(self) -> Level {
        self.level
    }

    /// Whether the processor has AVX-512 VBMI, and what [`Level::Avx512Vnni`] says.
    #[cfg(target_arch = "x86_64")]
    pub(crate) const fn permutes_bytes(self) -> bool {
        self.permutes_bytes
    }

    /// Runs `kernel`, compiled for the instructions that this permits.
    pub(crate) fn run(self, kernel: impl Kernel) {
        match self.level {
            Level::Plain => kernel.run(),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level is a proof that the processor has AVX2.
            Level::Avx2 | Level::Avx2Vnni => unsafe { run_avx2(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the level is a proof that the processor has these parts of AVX-512.
            Level::Avx512Vnni => unsafe { run_avx512(kernel) },
            // The compiler uses NEON everywhere.
            #[cfg(target_arch = "aarch64")]
            Level::Neon(_) => kernel.run(),
        }
    }
}

/// Work that is written once, plainly, and that the compiler vectorises for each instruction set.
pub(crate) trait Kernel {
    /// Does the work. To be `#[inline(always)]`, or the plain instructions are used everywhere.
    fn run(self);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2(kernel: impl Kernel) {
    kernel.run();
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512bw,avx512vl,avx512vnni")]
fn run_avx512(kernel: impl Kernel) {
    kernel.run();
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn fast() -> impl Iterator<Item = Isa> {
    core::iter::empty()
}

#[cfg(target_arch = "x86_64")]
fn fast() -> impl Iterator<Item = Isa> {
    let features = cpuid::Features::read();
    [
        features.avx2.then_some(Isa::of(Level::Avx2)),
        features.avx2_vnni.then_some(Isa::of(Level::Avx2Vnni)),
        features.avx512_vnni.then_some(Isa::of(Level::Avx512Vnni)),
        features.avx512_vbmi.then_some(Isa {
            level: Level::Avx512Vnni,
            permutes_bytes: true,
        }),
    ]
    .into_iter()
    .flatten()
}

#[cfg(target_arch = "aarch64")]
fn fast() -> impl Iterator<Item = Isa> {
    let features = id_registers::Features::read();
    [
        features.neon.then_some(Products::Long),
        features.dotprod.then_some(Products::Dot),
        features.i8mm.then_some(Products::Matrix),
    ]
    .into_iter()
    .flatten()
    .map(|products| Isa::of(Level::Neon(products)))
}

/// The feature bits of aarch64: Arm Architecture Reference Manual, ID_AA64ISAR0_EL1 and
/// ID_AA64ISAR1_EL1.
#[cfg(target_arch = "aarch64")]
mod id_registers {
    /// Each one contains those before it.
    pub struct Features {
        pub neon: bool,
        pub dotprod: bool,
        pub i8mm: bool,
    }

    impl Features {
        pub fn read() -> Self {
            // Vectors are loaded from bytes as they lie in memory.
            let neon = cfg!(all(target_endian = "little", target_feature = "neon"));
            let [dotprod, i8mm] = products().map(|field| field != 0);
            let dotprod = neon && dotprod;
            Self {
                neon,
                dotprod,
                i8mm: dotprod && i8mm,
            }
        }
    }

    /// The fields DP and I8MM.
    #[cfg(any(target_os = "linux", target_os = "none"))]
    fn products() -> [u64; 2] {
        let (isar0, isar1): (u64, u64);
        // SAFETY: firmware may read the registers; for a process Linux does so since 4.11. That
        // changes nothing but the two outputs.
        unsafe {
            core::arch::asm!(
                "mrs {0}, ID_AA64ISAR0_EL1",
                "mrs {1}, ID_AA64ISAR1_EL1",
                out(reg) isar0,
                out(reg) isar1,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        [isar0 >> 44 & 0xf, isar1 >> 52 & 0xf]
    }

    /// Other systems don't let a process read the registers.
    #[cfg(not(any(target_os = "linux", target_os = "none")))]
    fn products() -> [u64; 2] {
        [0; 2]
    }
}

/// The feature bits of x86-64: Intel's Software Developer's Manual, volume 2, CPUID and XGETBV.
/// `std` can tell them too, but a firmware has no `std`.
#[cfg(target_arch = "x86_64")]
mod cpuid {
    use core::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};

    pub struct Features {
        pub avx2: bool,
        pub avx2_vnni: bool,
        pub avx512_vnni: bool,
        pub avx512_vbmi: bool,
    }

    impl Features {
        pub fn read() -> Self {
            let saved = saved_state();
            let ymm = saved & 0b110 == 0b110;
            let zmm = saved & 0b1110_0110 == 0b1110_0110;
            let leaf7 = if __cpuid(0).eax >= 7 {
                __cpuid_count(7, 0)
            } else {
                return Self::none();
            };
            let leaf7_1 = if leaf7.eax >= 1 {
                __cpuid_count(7, 1).eax
            } else {
                0
            };
            let has = |word: u32, bits: &[u32]| bits.iter().all(|bit| word >> bit & 1 == 1);
            let avx2 = ymm && has(leaf7.ebx, &[5]);
            // F, BW, VL in ebx; VBMI, VNNI in ecx.
            let avx512 = avx2 && zmm && has(leaf7.ebx, &[16, 30, 31]);
            Self {
                avx2,
                avx2_vnni: avx2 && has(leaf7_1, &[4]),
                avx512_vnni: avx512 && has(leaf7.ecx, &[11]),
                avx512_vbmi: avx512 && has(leaf7.ecx, &[1, 11]),
            }
        }

        fn none() -> Self {
            Self {
                avx2: false,
                avx2_vnni: false,
                avx512_vnni: false,
                avx512_vbmi: false,
            }
        }
    }

    /// The register state that the operating system saves (XCR0), 0 if it can't be read.
    fn saved_state() -> u64 {
        const XSAVE_AND_AVX: u32 = 1 << 27 | 1 << 28;
        if __cpuid(1).ecx & XSAVE_AND_AVX != XSAVE_AND_AVX {
            return 0;
        }
        // SAFETY: bit 27 (OSXSAVE) says that XGETBV may be used.
        unsafe { _xgetbv(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_is_always_there_and_comes_first() {
        assert_eq!(Isa::all_available().next(), Some(Isa::plain()));
        assert!(Isa::all_available().any(|isa| isa == Isa::detect()));
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn agrees_with_the_standard_library() {
        extern crate std;
        let has = |name| Isa::all_available().any(|isa| isa.name() == name);
        assert_eq!(has("avx2"), std::is_x86_feature_detected!("avx2"));
        assert_eq!(has("avx2-vnni"), std::is_x86_feature_detected!("avxvnni"));
        let avx512 = std::is_x86_feature_detected!("avx512bw")
            && std::is_x86_feature_detected!("avx512vl")
            && std::is_x86_feature_detected!("avx512vnni");
        assert_eq!(has("avx512-vnni"), avx512);
        let vbmi = avx512 && std::is_x86_feature_detected!("avx512vbmi");
        assert_eq!(has("avx512-vbmi"), vbmi);
    }

    #[cfg(target_arch = "aarch64")]
    #[test]
    fn agrees_with_the_standard_library() {
        extern crate std;
        let has = |name| Isa::all_available().any(|isa| isa.name() == name);
        let dotprod = std::arch::is_aarch64_feature_detected!("dotprod");
        assert!(has("neon"));
        assert_eq!(has("neon-dotprod"), dotprod);
        let i8mm = std::arch::is_aarch64_feature_detected!("i8mm");
        assert_eq!(has("neon-i8mm"), dotprod && i8mm);
    }
}
