//! `uml run`: boots User Mode Linux with the driver and runs a program of the host inside.

mod device_tree;
mod host;
mod ktap;
mod log;
mod terminal;
pub mod wire;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand, ValueEnum};
use tempfile::TempDir;

use crate::daemon::{Daemon, LISTENING};
use crate::{command, kernel, workspace};
use host::Guest;
use wire::{Job, Outcome};

/// Exit status when the guest ran longer than it may, as of timeout(1).
const TIMED_OUT: u8 = 124;
/// Exit status when the guest's kernel found a fault, whatever the program says.
const KERNEL_FAULT: u8 = 123;
/// Exit status when there was no run: no kernel, no boot, no daemon.
const NO_RUN: u8 = 125;
/// Tells the program where the modules are that the guest has loaded.
const MODULES: &str = "APU_TEST_MODULES";

/// What can be done with a guest.
#[derive(Subcommand)]
pub enum Verb {
    /// Runs a program of this machine in the guest: same folder, environment, streams and exit status
    #[command(
        after_help = "Exit status: the program's own, 128 plus the signal's number if one ended it; \
        123 if the guest's kernel complained, 124 after --timeout, 125 if there was no run."
    )]
    Run(Run),
    /// Boots the debug kernel with its unit tests and documentation tests, and counts them
    Kunit(Vehicle),
}

/// The guest.
#[derive(Args)]
pub struct Vehicle {
    #[command(flatten)]
    kernel: kernel::Choice,
    /// Boots this image instead of building one
    #[arg(long, value_name = "LINUX")]
    image: Option<PathBuf>,
    /// Ends the guest after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    timeout: u64,
    /// Memory of the guest in MiB
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    memory: u32,
    /// Processors of the guest
    #[arg(long, value_name = "N", default_value_t = 2)]
    cpus: u32,
    /// Where to keep the guest's kernel log [default: uml/kernel-PID.log in cargo's target folder]
    #[arg(long, value_name = "FILE")]
    kernel_log: Option<PathBuf>,
    /// Adds to the kernel's command line
    #[arg(long, value_name = "ARGS")]
    append: Option<String>,
    /// Boots with the hardware of this device tree source
    #[arg(long, value_name = "FILE")]
    device_tree: Option<PathBuf>,
}

/// What to run, and in what.
#[derive(Args)]
pub struct Run {
    #[command(flatten)]
    vehicle: Vehicle,
    /// What carries the messages between driver and firmware
    #[arg(long, value_enum, default_value_t = Transport::Sim)]
    transport: Transport,
    /// Leaves the device without firmware: the program starts apu-simd if it wants one
    #[arg(long)]
    no_daemon: bool,
    /// Adds an argument to the command line of apu-simd
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    simd: Vec<OsString>,
    /// Program and arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Transports of the driver.
#[derive(Clone, Copy, ValueEnum)]
enum Transport {
    /// A process of the guest plays the APU, over the driver's control node
    Sim,
    /// A process of the host is a remote core of the guest
    Rpmsg,
}

/// Does `verb`.
pub fn main(verb: Verb) -> Result<ExitCode> {
    let done = match verb {
        Verb::Run(run) => run.main(),
        Verb::Kunit(vehicle) => kunit(vehicle),
    };
    done.or_else(|error| {
        eprintln!("error: {error:#}");
        Ok(ExitCode::from(NO_RUN))
    })
}

/// Boots with the unit tests on. The program is there to have an orderly end.
fn kunit(mut vehicle: Vehicle) -> Result<ExitCode> {
    vehicle.kernel.debug_kernel = true;
    let mut guest = vehicle.guest()?;
    let ended = guest.run(&vehicle.job(vec!["true".into()], None)?)?;
    let tally = ktap::count(&fs::read_to_string(&guest.log)?);
    tally
        .not_ok
        .iter()
        .for_each(|case| println!("not ok {case}"));
    println!(
        "test result: {} passed; {} failed; {} ignored",
        tally.ok,
        tally.not_ok.len(),
        tally.skipped
    );
    ensure!(
        tally.ok > 0,
        "the guest ran no unit test; its log is {}",
        guest.log.display()
    );
    let status = verdict(&guest, &ended);
    Ok(if tally.not_ok.is_empty() {
        status
    } else {
        ExitCode::FAILURE
    })
}

/// The run's exit status; tells what the kernel complained about.
fn verdict(guest: &Guest, ended: &Outcome) -> ExitCode {
    if ended.complaints.is_empty() {
        return ExitCode::from(ended.status);
    }
    eprintln!("the guest's kernel complained ({}):", guest.log.display());
    ended
        .complaints
        .iter()
        .for_each(|line| eprintln!("  {line}"));
    ExitCode::from(KERNEL_FAULT)
}

impl Run {
    fn main(self) -> Result<ExitCode> {
        let mut guest = self.vehicle.guest()?;
        guest.arguments.push("kunit.autorun=0".into());
        let mut daemon = None;
        let sockets = TempDir::with_prefix("tinyapu-core-").context("creating a scratch folder")?;
        if !self.no_daemon {
            let simd = workspace::build_release(&["apu-simd", "apu-cli"])?.join("apu-simd");
            match self.transport {
                Transport::Sim => daemon = Some([vec![simd.into()], self.simd].concat()),
                Transport::Rpmsg => attach_core(&mut guest, &simd, &self.simd, sockets.path())?,
            }
        }
        let mut job = self.vehicle.job(self.command, daemon)?;
        let modules = guest.modules.iter().map(|folder| folder.into());
        job.env
            .extend(modules.map(|folder| (MODULES.into(), folder)));
        let ended = guest.run(&job)?;
        Ok(verdict(&guest, &ended))
    }
}

/// Starts `simd` as a remote core of the guest: a virtio device of the kind that carries rpmsg.
fn attach_core(
    guest: &mut Guest,
    simd: &Path,
    arguments: &[OsString],
    sockets: &Path,
) -> Result<()> {
    const VIRTIO_ID_RPMSG: u32 = 7;
    let socket = sockets.join("core");
    let mut command = command::bound_to_us(simd.as_os_str(), "KILL");
    command.arg("--vhost-user").arg(&socket).args(arguments);
    let mut core = Daemon::start(command)?;
    core.expect(LISTENING)?;
    guest.core = Some(core);
    let device = format!("{}:{VIRTIO_ID_RPMSG}", socket.display());
    guest.arguments.push(format!("virtio_uml.device={device}"));
    // The core's node is the first one then.
    guest.arguments.push("apu.sim=0".into());
    Ok(())
}

impl Vehicle {
    fn guest(&self) -> Result<Guest> {
        let image = match &self.image {
            Some(image) => image.clone(),
            None => kernel::image(&self.kernel)?,
        };
        let hardware = match &self.device_tree {
            Some(source) => device_tree::arguments(source, &image)?,
            None => Vec::new(),
        };
        let modules = Some(kernel::modules::folder(&image));
        Ok(Guest {
            modules: modules.filter(|folder| folder.exists()),
            image,
            memory: self.memory,
            cpus: self.cpus,
            timeout: Duration::from_secs(self.timeout),
            arguments: self
                .append
                .iter()
                .flat_map(|more| more.split_whitespace())
                .map(str::to_owned)
                .chain(hardware)
                .collect(),
            log: match &self.kernel_log {
                Some(log) => log.clone(),
                None => log::fresh(&workspace::target()?.join("uml"))?,
            },
            core: None,
        })
    }

    fn job(&self, command: Vec<OsString>, daemon: Option<Vec<OsString>>) -> Result<Job> {
        Ok(Job {
            command,
            env: std::env::vars_os()
                .filter(|(name, _)| !command::is_cargo_variable(name))
                .collect(),
            cwd: std::env::current_dir()
                .context("the working folder")?
                .into(),
            daemon,
            terminal: terminal::size(),
            debug_kernel: self.kernel.debug_kernel,
        })
    }
}
