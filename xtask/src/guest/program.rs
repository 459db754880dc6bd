//! Runs the job's program with its standard streams on the line to the host.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::system::{RebootCommand, reboot};
use rustix::termios::{Winsize, tcsetwinsize};

use super::line::{Line, Sender};
use crate::uml::wire::{Frame, Job, OUTPUT_CHUNK, Terminal};

/// How long output may still come from processes that the program left behind.
const STRAGGLERS: Duration = Duration::from_secs(1);

/// Runs the program to its end and returns its status as a shell would.
pub fn run(job: &Job, line: &Line) -> Result<u8> {
    let (program, arguments) = job.command.split_first().context("no program to run")?;
    let (mut command, terminal) = match job.terminal {
        Some(size) => on_terminal(program, size)?,
        None => (piped(program), None),
    };
    command
        .args(arguments)
        .env_clear()
        .envs(job.env.iter().map(|(name, value)| (name, value)));
    command.current_dir(&job.cwd);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return refuse(program.to_string_lossy().as_ref(), &error, &line.sender()),
    };
    drop(command);
    let outputs = connect(&mut child, terminal, line)?;
    let status = child.wait()?;
    for output in outputs {
        let _ = output.recv_timeout(STRAGGLERS);
    }
    Ok(shell_status(status))
}

fn piped(program: &std::ffi::OsStr) -> Command {
    let mut command = Command::new(program);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A command on a new terminal, and the master of that. `setsid` makes it the controlling one.
fn on_terminal(program: &std::ffi::OsStr, size: Terminal) -> Result<(Command, Option<File>)> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
        .context("opening a terminal")?;
    grantpt(&master)?;
    unlockpt(&master)?;
    tcsetwinsize(
        &master,
        Winsize {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        },
    )?;
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let slave = File::from(rustix::fs::open(
        ptsname(&master, Vec::new())?,
        flags,
        Mode::empty(),
    )?);
    let mut command = Command::new("setsid");
    command.arg("--ctty").arg(program);
    command
        .stdin(slave.try_clone()?)
        .stdout(slave.try_clone()?)
        .stderr(slave);
    Ok((command, Some(File::from(master))))
}

/// Starts the relays; each receiver ends with its output.
fn connect(child: &mut Child, terminal: Option<File>, line: &Line) -> Result<Vec<Receiver<()>>> {
    let mut outputs = Vec::new();
    let input: Option<Box<dyn Write + Send>> = match terminal {
        Some(master) => {
            outputs.push(relay(master.try_clone()?, line.sender(), Frame::Stdout));
            Some(Box::new(master))
        }
        None => {
            outputs.extend(
                child
                    .stdout
                    .take()
                    .map(|pipe| relay(pipe, line.sender(), Frame::Stdout)),
            );
            outputs.extend(
                child
                    .stderr
                    .take()
                    .map(|pipe| relay(pipe, line.sender(), Frame::Stderr)),
            );
            child.stdin.take().map(|pipe| Box::new(pipe) as _)
        }
    };
    let (reader, sender) = (line.reader()?, line.sender());
    thread::spawn(move || feed(reader, &sender, input));
    Ok(outputs)
}

fn relay(
    mut from: impl Read + Send + 'static,
    to: Sender,
    frame: fn(Vec<u8>) -> Frame,
) -> Receiver<()> {
    let (alive, ended) = channel();
    thread::spawn(move || {
        let _alive = alive;
        let mut chunk = vec![0; OUTPUT_CHUNK];
        loop {
            match from.read(&mut chunk) {
                // A terminal ends with EIO when its last user is gone.
                Ok(0) => break,
                Err(error) if error.kind() != ErrorKind::Interrupted => break,
                Err(_) => continue,
                Ok(length) => {
                    let bytes = chunk.get(..length).unwrap_or_default().to_vec();
                    if to.send(&frame(bytes)).is_err() {
                        break;
                    }
                }
            }
        }
    });
    ended
}

/// Passes on standard input, for as long as somebody reads it. A host that is gone is the end.
fn feed(mut from: File, line: &Sender, mut to: Option<Box<dyn Write + Send>>) {
    loop {
        match line.take(&mut from) {
            Ok(Frame::Stdin(bytes)) if bytes.is_empty() => to = None,
            Ok(Frame::Stdin(bytes)) => {
                let taken = to.as_mut().map(|pipe| pipe.write_all(&bytes));
                if taken.is_some_and(|taken| taken.is_err()) {
                    to = None;
                }
            }
            Ok(_) => {}
            Err(_) => {
                let _ = reboot(RebootCommand::PowerOff);
                return;
            }
        }
    }
}

fn refuse(program: &str, error: &io::Error, to: &Sender) -> Result<u8> {
    to.send(&Frame::Stderr(format!("{program}: {error}\n").into_bytes()))?;
    Ok(if error.kind() == ErrorKind::NotFound {
        127
    } else {
        126
    })
}

fn shell_status(status: ExitStatus) -> u8 {
    let status = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    status
        .and_then(|status| u8::try_from(status).ok())
        .unwrap_or(u8::MAX)
}
