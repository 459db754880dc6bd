//! Says what takes long: a spinner on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, stderr};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// What goes by in less is not worth a line.
const SILENCE: Duration = Duration::from_secs(2);
/// Between lines where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(60);

/// Something under way; ends when dropped.
pub enum Progress {
    /// On a terminal.
    Spinner(ProgressBar),
    /// Elsewhere; the thread ends when the sender is gone.
    Lines { _stop: Sender<()> },
}

impl Progress {
    /// Starts to report `what`.
    pub fn start(what: &str) -> Self {
        if stderr().is_terminal() {
            Self::spinner(what)
        } else {
            Self::lines(what.to_owned())
        }
    }

    /// Shows a detail, on a terminal.
    pub fn detail(&self, detail: &str) {
        if let Self::Spinner(bar) = self {
            bar.set_message(detail.to_owned());
        }
    }

    fn spinner(what: &str) -> Self {
        let bar = ProgressBar::new_spinner().with_prefix(what.to_owned());
        if let Ok(style) =
            ProgressStyle::with_template("{spinner} {prefix} ({elapsed}) {wide_msg:.dim}")
        {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self::Spinner(bar)
    }

    fn lines(what: String) -> Self {
        let (stop, stopped) = channel::<()>();
        let started = Instant::now();
        thread::spawn(move || {
            let mut next = SILENCE;
            while stopped.recv_timeout(next) == Err(RecvTimeoutError::Timeout) {
                eprintln!("{what} ({} s)", started.elapsed().as_secs());
                next = INTERVAL;
            }
        });
        Self::Lines { _stop: stop }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Self::Spinner(bar) = self {
            bar.finish_and_clear();
        }
    }
}
