//! The control block as the core feels it.

use super::Part;
use super::chip::Event;

const SW_RST: u32 = 0x00c;
const CORE_CTRL: u32 = 0x110;
const CTL_XTENSA_INT: u32 = 0x118;
const DEFAULT0: u32 = 0x13c;
const DEFAULT1: u32 = 0x140;
const ALTRESETVEC: u32 = 0x1f8;

const PBCLK_ENABLE: u32 = 1 << 26;
const RUN_STALL: u32 = 1 << 23;
const STATE_VECTOR_SELECT: u32 = 1 << 19;
const PIF_GATED: u32 = 1 << 17;

/// What a register that was written means for the core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Nothing that it would notice.
    Nothing,
    /// It begins to run at an address.
    Started(u32),
    /// It stops.
    Stopped,
    /// It is to look at its queues.
    Kicked,
}

/// The registers that matter.
#[derive(Debug)]
pub struct Control {
    part: Part,
    vector: u32,
    core: u32,
    default: [u32; 2],
    /// Whether the core is held in reset.
    held: bool,
    /// Whether it has been reset since it ran last.
    fresh: bool,
}

impl Control {
    /// Registers as power on leaves them.
    pub fn new(part: Part) -> Self {
        Self {
            part,
            vector: 0,
            core: RUN_STALL,
            default: [0; 2],
            held: false,
            fresh: false,
        }
    }

    /// Where the core runs, if it does. It does when it was reset and nothing keeps it, and only with
    /// a way through the IOMMU.
    pub fn runs(&self) -> Option<u32> {
        let on = PBCLK_ENABLE | STATE_VECTOR_SELECT;
        let free = self.core & (RUN_STALL | PIF_GATED) == 0 && self.core & on == on;
        let ready = !self.held && self.fresh && self.default == self.part.through_iommu();
        (free && ready).then_some(self.vector)
    }

    /// Takes a write and says what it changes.
    pub fn apply(&mut self, event: Event) -> Change {
        let before = self.runs();
        let Event { register, value } = event;
        match register {
            ALTRESETVEC => self.vector = value,
            CORE_CTRL => self.core = value,
            DEFAULT0 => self.default[0] = value,
            DEFAULT1 => self.default[1] = value,
            SW_RST => {
                self.fresh |= self.held && value == 0;
                self.held = value != 0;
            }
            CTL_XTENSA_INT => return Change::Kicked,
            _ => {}
        }
        match (before, self.runs()) {
            (None, Some(address)) => Change::Started(address),
            (Some(_), None) => {
                self.fresh = false;
                Change::Stopped
            }
            _ => Change::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(without: Option<u32>) -> Vec<Change> {
        let on = PBCLK_ENABLE | STATE_VECTOR_SELECT;
        let [default0, default1] = Part::Mt8183.through_iommu();
        let mut control = Control::new(Part::Mt8183);
        [
            (ALTRESETVEC, 0x6000_0000),
            (CORE_CTRL, on | RUN_STALL | PIF_GATED),
            (SW_RST, 0x1110),
            (SW_RST, 0),
            (CORE_CTRL, on | RUN_STALL),
            (DEFAULT0, default0),
            (DEFAULT1, default1),
            (CORE_CTRL, on),
            (CTL_XTENSA_INT, 1),
            (CORE_CTRL, on | RUN_STALL),
        ]
        .into_iter()
        .filter(|(register, _)| Some(*register) != without)
        .map(|(register, value)| control.apply(Event { register, value }))
        .filter(|change| *change != Change::Nothing)
        .collect()
    }

    #[test]
    fn the_core_runs_after_the_whole_sequence() {
        let changes = [
            Change::Started(0x6000_0000),
            Change::Kicked,
            Change::Stopped,
        ];
        assert_eq!(boot(None), changes);
    }

    #[test]
    fn the_core_does_not_run_without_a_reset_or_a_way_to_memory() {
        for without in [SW_RST, DEFAULT0, DEFAULT1] {
            assert_eq!(boot(Some(without)), [Change::Kicked], "{without:#x}");
        }
    }
}
