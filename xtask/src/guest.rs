//! The guest's first process: mounts, loads modules, starts the simulated APU, runs the job, powers
//! off.
//!
//! xtask itself is process 1 of the guest, whose root is the host's, so there is nothing to build
//! or to install for it. Its standard error is the console and thereby ends up in the kernel log.

mod health;
mod line;
mod modules;
mod mounts;
mod program;

use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::Args;
use rustix::system::{RebootCommand, reboot};

use crate::daemon::{Daemon, ONLINE};
use crate::uml::wire::{Frame, Job, Outcome};
use line::Line;

/// How the guest is set up.
#[derive(Args)]
pub struct Guest {
    /// Folder of the modules to load
    modules: Option<PathBuf>,
}

/// Does the guest's whole life. Returns only what went wrong before there was a line to say it on.
pub fn main(guest: &Guest) -> Result<ExitCode> {
    ensure!(
        std::process::id() == 1,
        "this is the guest's first process, and only that"
    );
    if let Err(error) = live(guest) {
        eprintln!("guest: {error:#}");
    }
    rustix::fs::sync();
    reboot(RebootCommand::PowerOff).context("powering off")?;
    Ok(ExitCode::FAILURE)
}

fn live(guest: &Guest) -> Result<()> {
    mounts::mount_all()?;
    if let Some(folder) = &guest.modules {
        modules::load_all(folder)?;
    }
    let mut line = Line::open()?;
    let job = line.job()?;
    let last = match work(&job, &line) {
        Ok(outcome) => Frame::Outcome(outcome),
        Err(error) => Frame::Failed(format!("{error:#}")),
    };
    rustix::fs::sync();
    line.sender().send(&last)?;
    line.drain()
}

fn work(job: &Job, line: &Line) -> Result<Outcome> {
    let mut daemon = match &job.daemon {
        Some(words) => {
            let (program, arguments) = words.split_first().context("no daemon to start")?;
            let mut command = Command::new(program);
            command.args(arguments);
            let mut daemon = Daemon::start(command)?;
            daemon.expect(ONLINE)?;
            Some(daemon)
        }
        None => None,
    };
    let status = program::run(job, line)?;
    let mut complaints = Vec::new();
    if let Some(daemon) = &mut daemon {
        complaints.extend(daemon.stop()?);
    }
    if job.debug_kernel {
        complaints.extend(health::check()?);
    }
    Ok(Outcome { status, complaints })
}
