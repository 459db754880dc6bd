//! The smallest APU firmware: greets a host, then runs a program that is part of it.
//!
//! Built for a target without an operating system it links against `core` alone: a use of `alloc` or
//! `std` anywhere below it fails the build. Built for a host, it does the same and prints the result.

#![cfg_attr(target_os = "none", no_std, no_main)]

mod program;

use apu_firmware::frame::{Body, Frame, MessageError};
use apu_firmware::memory::Memory;
use apu_firmware::{Action, Device, Error, Program, Server, Slots, View, run};
use apu_kernels::Isa;
use apu_proto::message::{Hello, Map, Sync, Unmap, VERSION_MAX, VERSION_MIN, VmCreate, addressing};
use zerocopy::IntoBytes;

/// Jobs that this firmware can hold, one of them for the only core's own use.
const JOBS: usize = 2;
static SLOTS: Slots<JOBS> = Slots::new();

/// Memory management of a core without any: nothing can be mapped, and every job faults.
struct NoMemory;

impl Memory for NoMemory {
    fn create(&mut self, _vm: u32, _root: u64) {}
    fn destroy(&mut self, _vm: u32) {}
    fn map(&mut self, _map: &Map) {}
    fn unmap(&mut self, _unmap: &Unmap) {}
    fn quiesce(&mut self) {}
}

/// Takes the messages that begin every connection; returns the answers' length in bytes.
fn greet() -> Result<usize, MessageError> {
    let device = Device {
        core_count: 1,
        va: 0x1_0000..0x10_0000,
        page_size: 4096,
        addressing: addressing::TOKENS,
        heartbeat_ms: 0,
    };
    let mut server: Server<'_, NoMemory, 1, JOBS> = Server::new(device, NoMemory, &SLOTS);
    let mut answered = 0;
    let mut tell = |message: Frame| -> Result<(), MessageError> {
        if let Action::Reply(reply) = server.handle(message.as_bytes())? {
            answered += reply.as_bytes().len();
        }
        Ok(())
    };
    tell(frame(&Hello {
        version_min: VERSION_MIN,
        version_max: VERSION_MAX,
    }))?;
    tell(frame(&VmCreate {
        vm: 1,
        pad: 0,
        root: 0,
    }))?;
    tell(frame(&Sync { cookie: 1 }))?;
    Ok(answered)
}

fn frame<B: Body>(body: &B) -> Frame {
    Frame::new(body)
}

/// Runs the built-in program: the largest value of each channel of a 2x2 image.
fn infer(input: &[u8; program::INPUT]) -> Result<[u8; program::OUTPUT], Error> {
    let program = Program::validate(program::PROGRAM.as_bytes())?;
    let mut output = [0; program::OUTPUT];
    let mut segments = [
        View::Read(&[]),
        View::Read(&[]),
        View::Read(input),
        View::Write(&mut output),
    ];
    run(&program, Isa::detect(), &mut segments, || false)?;
    Ok(output)
}

const IMAGE: [u8; program::INPUT] = [1, 20, 3, 40, 50, 6, 70, 8];

#[cfg(target_os = "none")]
mod bare {
    //! What takes the place of an operating system.

    use core::hint::{black_box, spin_loop};
    use core::panic::PanicInfo;

    /// Where the boot code of a board goes once there is a stack. It isn't called from Rust.
    #[unsafe(no_mangle)]
    extern "C" fn _start() -> ! {
        // Used as a real firmware would, so that nothing of it is optimised away.
        let _ = black_box(super::greet());
        let _ = black_box(super::infer(black_box(&super::IMAGE)));
        loop {
            spin_loop();
        }
    }

    #[panic_handler]
    fn panic(_: &PanicInfo<'_>) -> ! {
        loop {
            spin_loop();
        }
    }
}

#[cfg(not(target_os = "none"))]
fn main() {
    println!("answered {:?} bytes", greet());
    println!("largest values: {:?}", infer(&IMAGE));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_greets_and_infers() {
        // HELLO_ACK and SYNC_ACK.
        assert_eq!(greet(), Ok(96 + 16));
        assert_eq!(infer(&IMAGE), Ok([70, 40]));
    }
}
