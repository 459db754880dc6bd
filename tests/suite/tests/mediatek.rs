//! A MediaTek core behind its driver: what the driver does to the chip, and what it refuses.
//!
//! The chip is emulated; the device tree says which of the two parts it is.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fs;
use std::sync::{Mutex, PoisonError};

use apu::Error;
use suite::accel::client::Client;
use suite::accel::daemon::Hardware;
use suite::command::Apu;
use suite::device;
use suite::emulator::{Event, Processor, Record, has_driver};
use suite::kernel_log::KernelLog;
use suite::skip::{Skip, or_skip};

use Event::{Clock, Power, Read, Write};

/// The core in the device tree.
const NODE: &str = "/sys/firmware/devicetree/base/npu@29180000";

const SW_RST: u32 = 0x00c;
const CORE_CTRL: u32 = 0x110;
const CTL_XTENSA_INT: u32 = 0x118;
const DEFAULT0: u32 = 0x13c;
const DEFAULT1: u32 = 0x140;
const ALTRESETVEC: u32 = 0x1f8;

/// PDEBUG_ENABLE, PBCLK_ENABLE and STATE_VECTOR_SELECT.
const ON: u32 = 1 << 31 | 1 << 26 | 1 << 19;
const RUN_STALL: u32 = 1 << 23;
const PIF_GATED: u32 = 1 << 17;

const EINVAL: i32 = 22;

/// What differs between the parts.
struct Part {
    name: &'static str,
    clocks: u32,
    default0: u32,
    default1: u32,
}

fn part() -> Part {
    match fs::read_to_string(format!("{NODE}/compatible"))
        .unwrap()
        .trim_end_matches('\0')
    {
        "mediatek,mt8183-apu" => Part {
            name: "mt8183",
            clocks: 3,
            default0: 1 << 28 | 0x10 << 23 | 0x10 << 18,
            default1: 0x10 | 0x10 << 5,
        },
        "mediatek,mt8365-apu-core" => Part {
            name: "mt8365",
            clocks: 8,
            default0: 1 << 26 | 1 << 20,
            default1: 1 << 3 | 1 << 7,
        },
        other => panic!("{NODE} is {other}"),
    }
}

/// What the core's node names.
fn firmware() -> String {
    let name = fs::read_to_string(format!("{NODE}/firmware-name")).unwrap();
    name.trim_end_matches('\0').into()
}

/// One test at a time has the processor, which is off before and after.
fn with_processor(test: &str, body: impl FnOnce(&mut Record, &Processor)) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    or_skip(test, || {
        let mut record = Record::open()?;
        let processor = Processor::find();
        let _ = processor.stop();
        processor.set_firmware(&firmware());
        record.take();
        body(&mut record, &processor);
        let _ = processor.stop();
        Ok(())
    });
}

#[test]
fn the_core_boots_in_the_order_that_the_chip_needs() {
    with_processor(
        "the_core_boots_in_the_order_that_the_chip_needs",
        |record, processor| {
            processor.start().unwrap();
            let part = part();
            let mut expected = vec![Power(true)];
            expected.extend((0..part.clocks).map(|clock| Clock(clock, true)));
            expected.extend([
                Write(ALTRESETVEC, 0x6000_0000),
                Read(CORE_CTRL),
                Write(CORE_CTRL, ON | RUN_STALL | PIF_GATED),
                Write(SW_RST, 1 << 12 | 1 << 8 | 1 << 4),
                Write(SW_RST, 0),
                Read(CORE_CTRL),
                Write(CORE_CTRL, ON | RUN_STALL),
                Write(DEFAULT0, part.default0),
                Write(DEFAULT1, part.default1),
                Read(CORE_CTRL),
                Write(CORE_CTRL, ON),
                // The host has filled its input queue.
                Write(CTL_XTENSA_INT, 1),
            ]);
            assert_eq!(record.take(), expected);
            assert_eq!(processor.state(), "running");
        },
    );
}

#[test]
fn the_core_stops_before_it_loses_its_clocks_and_power() {
    with_processor(
        "the_core_stops_before_it_loses_its_clocks_and_power",
        |record, processor| {
            processor.start().unwrap();
            record.take();
            processor.stop().unwrap();
            let mut expected = vec![Read(CORE_CTRL), Write(CORE_CTRL, ON | RUN_STALL)];
            expected.extend((0..part().clocks).rev().map(|clock| Clock(clock, false)));
            expected.push(Power(false));
            assert_eq!(record.take(), expected);
        },
    );
}

#[test]
fn firmware_that_lies_is_refused_and_the_next_one_boots() {
    with_processor(
        "firmware_that_lies_is_refused_and_the_next_one_boots",
        |record, processor| {
            for (image, says) in [
                ("half.elf", "Section header table is out of bounds"),
                ("text.elf", "Image is corrupted"),
                ("host-memory.elf", "firmware may not have Other(1)"),
                ("local-ram.elf", "firmware may not have Carveout"),
                ("rings.elf", "firmware may not have Vdev"),
                ("no-memory.elf", "bad phdr da"),
                ("table.elf", "broken resource table"),
            ] {
                let mut log = KernelLog::from_now();
                processor.set_firmware(&format!("lies/{image}"));
                assert_eq!(processor.start(), Err(EINVAL), "{image}");
                let said = log.read();
                assert!(said.contains(says), "{image}: {says:?} is not in\n{said}");
                assert!(
                    !record.take().iter().any(|event| matches!(event, Write(..))),
                    "{image}"
                );
            }
            processor.set_firmware(&firmware());
            processor.start().unwrap();
        },
    );
}

#[test]
fn what_a_device_tree_lacks_is_named() {
    with_processor("what_a_device_tree_lacks_is_named", |_, _| {
        let log = KernelLog::from_the_start().read();
        for (node, says) in [
            ("29180000.without-clock", "Failed to get clk 'jtag'"),
            ("29180000.without-memory-region", "no memory-region"),
            (
                "29180000.without-firmware-name",
                "'firmware-name' is missing",
            ),
            ("without-registers", "no control block"),
            ("29180000.memory-in-the-window", "overlaps"),
        ] {
            if !fs::exists(format!("/sys/bus/platform/devices/{node}")).unwrap() {
                continue;
            }
            assert!(!has_driver(node), "{node}");
            let said = log
                .lines()
                .any(|line| line.contains(node) && line.contains(says));
            assert!(said, "the log doesn't say {says:?} of {node}");
        }
    });
}

#[test]
fn the_driver_can_be_taken_from_the_core_and_given_back() {
    with_processor(
        "the_driver_can_be_taken_from_the_core_and_given_back",
        |record, processor| {
            let driver = "/sys/bus/platform/drivers/mtk_apu_rproc";
            processor.start().unwrap();
            record.take();
            fs::write(format!("{driver}/unbind"), "29180000.npu").unwrap();
            assert!(record.take().contains(&Power(false)));
            fs::write(format!("{driver}/bind"), "29180000.npu").unwrap();
            // Now that there are files, the core boots by itself as soon as its firmware is read.
            while processor.state() != "running" {
                std::thread::yield_now();
            }
        },
    );
}

/// Waits until the core is said to have crashed in this way, and runs again.
fn wait_for_recovery(log: &mut KernelLog, kind: &str) {
    log.wait_for(&[
        &format!("crash detected in 29180000.npu: type {kind}"),
        "handling crash #",
        "remote processor 29180000.npu is now up",
    ]);
}

/// Bytes of buffers that are mapped for the core's DMA, where the kernel keeps account of that.
fn mapped_for_dma() -> Result<u64, Skip> {
    const ACCOUNT: &str = "/sys/kernel/debug/dma-api/dump";
    let account = fs::read_to_string(ACCOUNT)
        .map_err(|error| Skip(format!("{ACCOUNT}: {error}; that is of the debug kernel")))?;
    let buffers = account.lines().filter(|line| {
        line.contains(" 29180000.npu scatter-gather ") && line.contains(" DMA_BIDIRECTIONAL ")
    });
    let size = |line: &str| {
        let field = line
            .split_whitespace()
            .find_map(|field| field.strip_prefix("L="));
        u64::from_str_radix(field.unwrap(), 16).unwrap()
    };
    Ok(buffers.map(size).sum())
}

/// The core isn't coherent: its device tree says nothing else.
#[test]
fn what_the_core_reaches_is_mapped_for_its_dma_and_not_longer_than_it_lives() {
    let test = "what_the_core_reaches_is_mapped_for_its_dma_and_not_longer_than_it_lives";
    with_processor(test, |_, processor| {
        or_skip(test, || {
            let hardware = Hardware::take()?;
            processor.start().unwrap();
            let _firmware = hardware.start(&["--core", part().name]);
            let client = Client::of(&device::online());
            let before = mapped_for_dma()?;
            let mut context = client.load().unwrap();
            client.run(&mut context).unwrap();
            let during = mapped_for_dma()?;
            assert_eq!(before, 0);
            assert!(during > 0);
            drop((context, client));
            // The last job is freed by a worker.
            while mapped_for_dma()? > 0 {
                std::thread::yield_now();
            }
            Ok(())
        });
    });
}

#[test]
fn a_core_that_hangs_is_restarted() {
    let test = "a_core_that_hangs_is_restarted";
    with_processor(test, |_, processor| {
        or_skip(test, || {
            let (hardware, apu) = (Hardware::take()?, Apu::find()?);
            processor.start().unwrap();
            let hanging = hardware.start(&["--core", part().name, "--hang-after-runs=1"]);
            let client = Client::of(&device::online());
            let mut context = client.load().unwrap();
            client.run(&mut context).unwrap();
            let mut log = KernelLog::from_now();
            // Whether the node is there long enough to say which is open.
            assert!(matches!(
                client.run(&mut context),
                Err(Error::JobTimedOut { .. } | Error::DeviceLost)
            ));
            drop((context, client));
            wait_for_recovery(&mut log, "watchdog");
            drop(hanging);
            wait_for_recovery(&mut log, "mmufault");
            let _firmware = hardware.start(&["--core", part().name]);
            assert!(apu.knows_its_digit());
            Ok(())
        });
    });
}

#[test]
fn firmware_answers_runs_models_and_is_restarted_when_it_dies() {
    let test = "firmware_answers_runs_models_and_is_restarted_when_it_dies";
    with_processor(test, |_, processor| {
        or_skip(test, || {
            let (hardware, apu) = (Hardware::take()?, Apu::find()?);
            let core = ["--core", part().name];
            processor.start().unwrap();
            let firmware = hardware.start(&core);
            assert!(apu.knows_its_digit());
            let model = "../shared/models/mobilenet_v2_1.0_224_quant.tflite";
            if fs::exists(model).unwrap() {
                let said = apu.classify(&[model, "../shared/images/grace_hopper.bmp"]);
                assert!(said.contains("military uniform"), "{said}");
            }
            let mut log = KernelLog::from_now();
            drop(firmware);
            wait_for_recovery(&mut log, "mmufault");
            let _firmware = hardware.start(&core);
            assert!(apu.knows_its_digit());
            Ok(())
        });
    });
}
