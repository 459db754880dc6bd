//! The steps of `test`, in an order that finds cheap faults first.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::step::Step;
use crate::litert::{self, Kit};
use crate::{command, readme, setup, workspace};

const NODE: &str = "/dev/accel/accel0";
/// Cases of `tests/suite` for any device.
const ANY_DEVICE: [&str; 3] = ["golden", "models", "digits"];
/// Cases of `tests/suite` that LiteRT makes anew, which is about its arithmetic and not about devices.
const SWEEP: &str = "sweep";
/// Whole networks, as well.
const NETWORKS: &str = "networks";
/// Cases of `tests/suite` that unload the drivers and load them again.
const MODULES: &str = "modules";
/// Damaged models and programs, which no device must see first.
const MUTATED: &str = "mutated";
/// Several threads, or cores, on one inference.
const THREADS: &str = "threads";
/// Cases of `tests/suite` that start and kill the daemon themselves.
const ALONE: [&str; 3] = ["recovery", "power", MODULES];

/// Every step.
pub fn all() -> Vec<Step> {
    let step = |name, about, commands| Step {
        name,
        about,
        commands,
    };
    vec![
        step(
            "setup",
            "the machine has or gets what the rest needs",
            || Ok(vec![xtask(&["setup"])?]),
        ),
        step("tidy", "what the prose promises", || {
            Ok(vec![xtask(&["tidy"])?])
        }),
        step("series", "the overlay as patches to send", || {
            Ok(vec![xtask(&["series"])?])
        }),
        step("deny", "licences and sources of the dependencies", deny),
        step("unit", "unit tests of every crate", unit),
        step(
            "suite",
            "the suite in-process, against LiteRT",
            suite_in_process,
        ),
        step(
            "litert",
            "the delegate in every runtime that it is for",
            in_runtimes,
        ),
        step(
            "fuzz",
            "bytes that nobody meant to be a model or a program",
            || Ok(vec![xtask(&["fuzz", "--minutes=0.33"])?]),
        ),
        step("neon", "the kernels for aarch64, emulated", neon),
        step("bench", "models are measured beside LiteRT", || {
            Ok(vec![xtask(&[
                "bench",
                "models",
                "--rounds=1",
                "--beside=litert-xnnpack",
            ])?])
        }),
        step(
            "bare",
            "the firmware's crates without an operating system",
            || Ok(vec![xtask(&["bare"])?]),
        ),
        step("kernel", "the kernel builds", || {
            Ok(vec![xtask(&["kernel", "build"])?])
        }),
        step("accel", "the suite through the kernel", || {
            suite_in_guest(&[], &ANY_DEVICE)
        }),
        step(
            "rpmsg",
            "the suite through a remote core on the host",
            suite_through_a_remote_core,
        ),
        step(
            "cli",
            "the command says the same in-process and through the kernel",
            cli,
        ),
        step(
            "bindings",
            "the device tree bindings and their examples",
            || Ok(vec![xtask(&["bindings"])?]),
        ),
        step(
            "mediatek",
            "MediaTek's cores, with an emulated chip",
            || mediatek(&[]),
        ),
        step(
            "litert-accel",
            "LiteRT on the APU through the kernel",
            || {
                let mut commands = shown(readme::commands_of(litert::DOCUMENT)?);
                commands.push(Kit::build()?.recovery()?);
                Ok(commands)
            },
        ),
        step(
            "template",
            "the template driver runs jobs",
            || template(&[]),
        ),
        step("debug-kernel", "the kernel with all checks builds", || {
            Ok(vec![xtask(&["kernel", "build", "--debug-kernel"])?])
        }),
        step(
            "kunit",
            "unit and documentation tests of the kernel",
            || Ok(vec![xtask(&["uml", "kunit"])?]),
        ),
        step(
            "accel-debug",
            "the suite through the kernel with all checks",
            || suite_in_guest(&["--debug-kernel"], &["digits"]),
        ),
        step(
            "others-debug",
            "remote cores and the template with all checks",
            others_with_all_checks,
        ),
        step(
            "torture",
            "clients, hardware and memory that go wrong, with all checks",
            || {
                Ok(vec![xtask(&[
                    "torture",
                    "--minutes",
                    "0.8",
                    "--seed",
                    "1",
                ])?])
            },
        ),
        step("readme", "README's commands, as written", readme_commands),
    ]
}

fn xtask(arguments: &[&str]) -> Result<Command> {
    let mut xtask = Command::new(std::env::current_exe()?);
    xtask.args(arguments);
    Ok(xtask)
}

/// cargo-deny takes longer to compile than all of this project, so it is used where it is installed.
fn deny() -> Result<Vec<Command>> {
    let mut deny = workspace::cargo();
    if command::run(workspace::cargo().args(["deny", "--version"])).is_ok() {
        deny.args(["deny", "check", "bans", "licenses", "sources"]);
    } else {
        deny = Command::new("echo");
        deny.arg("skipped: deny: cargo-deny is not installed (cargo install cargo-deny)");
    }
    Ok(vec![deny])
}

fn unit() -> Result<Vec<Command>> {
    let mut cargo = workspace::cargo();
    cargo.args([
        "test",
        "--release",
        "--quiet",
        "--no-fail-fast",
        "--workspace",
        "--exclude=suite",
    ]);
    Ok(vec![cargo])
}

fn suite_in_process() -> Result<Vec<Command>> {
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--release", "--package=suite"]);
    cargo.args(ANY_DEVICE.iter().flat_map(|target| ["--test", target]));
    cargo.args(
        [SWEEP, NETWORKS, MUTATED, THREADS]
            .iter()
            .flat_map(|target| ["--test", target]),
    );
    cargo.env("APU_LITERT_PYTHON", setup::litert()?);
    let mut diff = workspace::cargo();
    diff.args([
        "test",
        "--release",
        "--package=apu-cli",
        "--test=cli",
        "diff",
    ]);
    diff.env("APU_LITERT_PYTHON", setup::litert()?);
    Ok(vec![cargo, diff])
}

/// The kernels, and operators that have any for NEON, with the instructions of three generations.
fn neon() -> Result<Vec<Command>> {
    const TARGET: &str = "aarch64-unknown-linux-musl";
    const VARIABLES: &str = "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL";
    if let Err(error) = setup::aarch64(TARGET) {
        let mut skipped = Command::new("echo");
        skipped.arg(format!("skipped: neon: {error:#}"));
        return Ok(vec![skipped]);
    }
    // Plain NEON, with dot products, and with matrix products too.
    let processors = ["cortex-a57", "cortex-a76", "max"];
    let kernels = ["--package=apu-kernels", "--tests"].as_slice();
    let operators = [
        "--package=suite",
        "--test=golden",
        "--",
        "conv_2d::",
        "fully_connected::",
        "add::",
        "mul_int8",
        "sub_uint8",
        "tanh_int8",
    ];
    let test = |(processor, what)| {
        let mut cargo = workspace::cargo();
        cargo.args(["test", "--release", "--quiet", "--target", TARGET]);
        cargo.args(what);
        // Target and toolchain have all that a program is linked with.
        cargo.env(format!("{VARIABLES}_LINKER"), "rust-lld");
        // blake3 would want a C compiler.
        cargo.env("CARGO_FEATURE_NO_NEON", "1");
        let runner = format!("qemu-aarch64 -cpu {processor}");
        cargo.env(format!("{VARIABLES}_RUNNER"), runner);
        cargo
    };
    let each = [kernels, &operators]
        .into_iter()
        .flat_map(|what| processors.map(|processor| (processor, what)));
    Ok(each.map(test).collect())
}

fn in_runtimes() -> Result<Vec<Command>> {
    let kit = Kit::build()?;
    let mut commands = vec![kit.make_models(), kit.example()?];
    commands.extend(setup::runtimes()?.iter().map(|python| kit.test(python)));
    Ok(commands)
}

/// The suite's programs in a guest each, so that each has its own kernel log.
fn suite_in_guest(options: &[&str], any_device: &[&str]) -> Result<Vec<Command>> {
    let programs = workspace::build_release(&["apu-simd", "apu-cli"])?;
    let mut commands = vec![conformance(options)?];
    for target in any_device.iter().chain(&ALONE) {
        let mut run = xtask(&["uml", "run"])?;
        run.args(options)
            .args(ALONE.contains(target).then_some("--no-daemon"));
        run.arg("--").arg(test_program(target)?);
        run.env("APU_TEST_DEVICE", NODE)
            .env("APU_TEST_SIMD", programs.join("apu-simd"))
            .env("APU_TEST_CLI", programs.join("apu"))
            .env("APU_LITERT_PYTHON", setup::litert()?);
        commands.push(run);
    }
    Ok(commands)
}

/// Whether the driver keeps its interface.
fn conformance(options: &[&str]) -> Result<Command> {
    let apu = workspace::build_release(&["apu-simd", "apu-cli"])?.join("apu");
    let mut run = xtask(&["uml", "run"])?;
    run.args(options)
        .arg("--")
        .arg(apu)
        .args(["conformance", NODE]);
    Ok(run)
}

/// A guest for each device tree.
fn mediatek(options: &[&str]) -> Result<Vec<Command>> {
    let programs = workspace::build_release(&["apu-simd", "apu-cli"])?;
    let guest = |tree: &str, target: &str| {
        let mut run = xtask(&["uml", "run", "--no-daemon"])?;
        run.args(options).arg("--device-tree");
        run.arg(format!("kernel/configs/device-trees/{tree}.dts"));
        run.arg("--").arg(test_program(target)?);
        run.env("APU_TEST_SIMD", programs.join("apu-simd"))
            .env("APU_TEST_CLI", programs.join("apu"));
        anyhow::Ok(run)
    };
    [
        ("broken-apus", "mediatek"),
        ("mt8365-apu", "mediatek"),
        ("mt8365-apu", MODULES),
    ]
    .into_iter()
    .map(|(tree, target)| guest(tree, target))
    .collect()
}

/// The interface and whole models with a process of the host as a remote core, which then lies, and at
/// last dies.
fn suite_through_a_remote_core() -> Result<Vec<Command>> {
    let mut commands = vec![conformance(&["--transport", "rpmsg"])?];
    for target in ["models", "digits", MODULES] {
        commands.push(through_a_remote_core(target, &[])?);
    }
    commands.push(through_a_remote_core(
        "digits",
        &["--simd", "--garbage-after-runs=0"],
    )?);
    commands.push(through_a_remote_core(THREADS, &["--simd", "--cores=2"])?);
    commands.push(dying_core(&[])?);
    commands.push(hanging_core(&[])?);
    Ok(commands)
}

fn through_a_remote_core(target: &str, options: &[&str]) -> Result<Command> {
    let mut run = xtask(&["uml", "run", "--transport", "rpmsg"])?;
    run.args(options).arg("--").arg(test_program(target)?);
    let programs = workspace::build_release(&["apu-simd", "apu-cli"])?;
    run.env("APU_TEST_DEVICE", NODE)
        .env("APU_TEST_CLI", programs.join("apu"))
        .env("APU_LITERT_PYTHON", setup::litert()?);
    Ok(run)
}

fn dying_core(options: &[&str]) -> Result<Command> {
    let mut run = through_a_remote_core(
        "remote_core",
        &[options, &["--simd", "--die-after-runs=1"]].concat(),
    )?;
    run.env("APU_TEST_DYING_CORE", "1");
    Ok(run)
}

fn hanging_core(options: &[&str]) -> Result<Command> {
    let mut run = through_a_remote_core(
        "remote_core",
        &[options, &["--simd", "--hang-after-runs=1"]].concat(),
    )?;
    run.env("APU_TEST_HANGING_CORE", "1");
    Ok(run)
}

/// The back ends that are not a process in the guest, on the debug kernel.
fn others_with_all_checks() -> Result<Vec<Command>> {
    const DEBUG: [&str; 1] = ["--debug-kernel"];
    let mut commands = vec![
        conformance(&["--debug-kernel", "--transport", "rpmsg"])?,
        dying_core(&DEBUG)?,
        hanging_core(&DEBUG)?,
    ];
    commands.extend(mediatek(&DEBUG)?);
    commands.extend(template(&DEBUG)?);
    Ok(commands)
}

/// Builds one test program of the suite.
fn test_program(target: &str) -> Result<PathBuf> {
    let mut cargo = workspace::cargo();
    cargo.args([
        "test",
        "--release",
        "--package=suite",
        "--no-run",
        "--quiet",
        "--message-format=json",
        "--test",
        target,
    ]);
    let messages = command::output(&mut cargo)?;
    let messages = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut programs = messages.filter(|message| message["target"]["name"] == target);
    let program = programs.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    program.with_context(|| format!("cargo built no test program {target}"))
}

/// Two runs of the command, one in the guest, whose outputs must be equal.
fn cli() -> Result<Vec<Command>> {
    let apu = workspace::build_release(&["apu-simd", "apu-cli"])?.join("apu");
    let classify = |model: &str, image: &str| {
        let mut compare = Command::new("bash");
        let xtask = std::env::current_exe()?;
        compare.args([
            "-c",
            r#"here=$("$1" classify $3) && there=$("$2" uml run -- "$1" classify $3 --device "$4") &&
               [ -n "$here" ] && diff <(echo "$here") <(echo "$there")"#,
            "compare",
        ]);
        compare
            .args([apu.as_os_str(), xtask.as_os_str()])
            .args([&format!("{model} {image}"), NODE]);
        anyhow::Ok(compare)
    };
    let mut commands = vec![classify("", "")?];
    for image in ["grace_hopper.bmp", "cat.bmp"] {
        let (model, image) = (
            "../shared/models/mobilenet_v2_1.0_224_quant.tflite",
            format!("../shared/images/{image}"),
        );
        if workspace::root().join(model).exists() {
            commands.push(classify(model, &image)?);
        }
    }
    Ok(commands)
}

/// The driver of the book's chapter, on its emulated device.
fn template(options: &[&str]) -> Result<Vec<Command>> {
    let mut run = xtask(&["uml", "run", "--no-daemon"])?;
    run.args(options)
        .arg("--device-tree")
        .arg("kernel/configs/device-trees/template.dts")
        .arg("--")
        .arg(test_program("template")?);
    Ok(vec![run])
}

fn readme_commands() -> Result<Vec<Command>> {
    let mut commands = readme::commands()?;
    commands.retain(|command| command != "cargo xtask test");
    Ok(shown(commands))
}

/// Commands of a document, run as it shows them.
fn shown(commands: Vec<String>) -> Vec<Command> {
    let bash = |command: String| {
        let mut bash = Command::new("bash");
        bash.args(["-c", &command]);
        command::without_cargo_variables(&mut bash);
        bash
    };
    commands.into_iter().map(bash).collect()
}
