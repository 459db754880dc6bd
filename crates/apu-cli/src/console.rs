//! stderr: warnings, progress and errors.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use miette::{GraphicalReportHandler, GraphicalTheme};
use tracing::Level;

use crate::error::Error;

/// How much to say.
#[derive(Debug)]
pub struct Console {
    progress: bool,
}

impl Console {
    /// Sets up what `tracing` shows; to be called once.
    pub fn new(quiet: bool, verbose: u8) -> Self {
        let level = match (quiet, verbose) {
            (true, _) => Level::ERROR,
            (false, 0) => Level::WARN,
            (false, 1) => Level::INFO,
            (false, _) => Level::TRACE,
        };
        tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(stderr)
            .with_ansi(stderr().is_terminal())
            .without_time()
            .with_target(verbose > 1)
            .init();
        Self {
            progress: !quiet && stderr().is_terminal(),
        }
    }

    /// A sign of life while `work` runs, gone afterwards.
    pub fn step<R>(&self, what: &str, work: impl FnOnce() -> R) -> R {
        if !self.progress {
            return work();
        }
        let spinner = ProgressBar::new_spinner().with_message(what.to_owned());
        spinner.enable_steady_tick(Duration::from_millis(100));
        let result = work();
        spinner.finish_and_clear();
        result
    }

    /// A bar of `length` steps.
    pub fn bar(&self, what: &str, length: u64) -> ProgressBar {
        if !self.progress {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}");
        let bar = ProgressBar::new(length).with_message(what.to_owned());
        style
            .map(|style| bar.clone().with_style(style))
            .unwrap_or(bar)
    }

    /// Shows what went wrong, why, and what to do. Off a terminal lines stay whole, for `grep`.
    pub fn show_error(&self, error: Error) {
        if stderr().is_terminal() {
            eprintln!("{:?}", miette::Report::new(error));
            return;
        }
        let plain = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor());
        let mut text = String::new();
        match plain
            .with_wrap_lines(false)
            .render_report(&mut text, &error)
        {
            Ok(()) => eprint!("{text}"),
            Err(_) => eprintln!("{error}"),
        }
    }
}
