//! `apu-simd`: the simulated APU as a command.

use apu_kernels::Isa;
use apu_simd::inject::Faults;
use apu_simd::mediatek::{Part, serve_core};
use apu_simd::tokens::Tokens;
use apu_simd::vhost_user::serve_at;
use apu_simd::{Control, Options, VA, serve};
use clap::Parser;
use miette::{IntoDiagnostic, WrapErr};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use tracing::{info, level_filters::LevelFilter};

/// The hardware behind the APU driver.
///
/// Opens the control node of the driver's simulated device, or waits at a vhost-user socket for a
/// machine whose remote core it is to be. Answers the driver until the device goes away, or SIGTERM
/// or SIGINT comes. Prints "listening" once the socket is there, and "online" once the driver has
/// been greeted.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Control node of the simulated device.
    #[arg(long, value_name = "FILE", default_value = "/dev/apu-sim0")]
    control: PathBuf,
    /// Be a remote core, a virtio rpmsg device, behind this vhost-user socket instead.
    #[arg(long, value_name = "SOCKET", conflicts_with = "control")]
    vhost_user: Option<PathBuf>,
    /// Be the core of this part behind an emulated chip instead.
    #[arg(long, value_name = "PART", conflicts_with_all = ["control", "vhost_user"])]
    core: Option<Part>,
    /// Node of the emulated chip.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/dev/apu-emulator",
        requires = "core"
    )]
    chip: PathBuf,
    /// Cores that run jobs, one thread each, or several on a job that may spread over them.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    cores: u32,
    /// Use plain instructions only.
    #[arg(long)]
    plain: bool,
    /// Tell about every VM, mapping and job.
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    faults: FaultArguments,
}

/// Faults on purpose, for tests of the driver.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Faults on purpose, for tests of the driver")]
struct FaultArguments {
    /// Run N jobs, then be killed in the next one.
    #[arg(long, value_name = "N")]
    die_after_runs: Option<u64>,
    /// Run N jobs, then neither end the next ones nor heed their cancellation.
    #[arg(long, value_name = "N")]
    hang_after_runs: Option<u64>,
    /// Run N jobs, then send malformed and lying messages before each job's end.
    #[arg(long, value_name = "N")]
    garbage_after_runs: Option<u64>,
}

fn main() -> miette::Result<()> {
    let arguments = Arguments::parse();
    log_to_stderr(arguments.verbose);
    abort_on_panic();
    // Nothing needs saving: for the driver, an exit is the loss of its hardware at any time.
    ctrlc::set_handler(|| std::process::exit(0))
        .into_diagnostic()
        .wrap_err("signals can't be caught")?;
    let options = options(&arguments);
    if let Some(socket) = &arguments.vhost_user {
        return Ok(serve_at(
            socket,
            &options,
            || say("listening"),
            || say("online"),
        )?);
    }
    if let Some(part) = arguments.core {
        return Ok(serve_core(part, &arguments.chip, &options, || {
            say("online")
        })?);
    }
    let control = Arc::new(Control::open(&arguments.control)?);
    let platform = Tokens::new(Arc::clone(&control), VA);
    Ok(serve(control, platform, &options, || say("online"))?)
}

fn options(arguments: &Arguments) -> Options {
    Options {
        cores: arguments.cores,
        isa: if arguments.plain {
            Isa::plain()
        } else {
            Isa::detect()
        },
        faults: Faults {
            die: arguments.faults.die_after_runs,
            hang: arguments.faults.hang_after_runs,
            garbage: arguments.faults.garbage_after_runs,
        },
    }
}

/// Whoever started this process may wait for the line; if nobody listens, so be it.
fn say(what: &str) {
    info!("{what}");
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{what}").and_then(|()| stdout.flush());
}

/// A core that has panicked loses its jobs; the driver must see dead hardware rather than wait.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}

fn log_to_stderr(verbose: bool) {
    let level = if verbose {
        LevelFilter::DEBUG
    } else {
        LevelFilter::INFO
    };
    let filter = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(level.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .init();
}
