//! The user's terminal, lent to a program in the guest.

use std::io::{IsTerminal, stderr, stdin, stdout};

use anyhow::Result;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use super::wire::Terminal;

/// The terminal's size, if all three standard streams are on one.
pub fn size() -> Option<Terminal> {
    if !(stdin().is_terminal() && stdout().is_terminal() && stderr().is_terminal()) {
        return None;
    }
    let size = tcgetwinsize(stdout()).ok()?;
    Some(Terminal {
        rows: size.ws_row,
        columns: size.ws_col,
    })
}

/// Makes the terminal pass every key to the guest, until dropped.
pub struct Raw(Termios);

impl Raw {
    /// Switches over.
    pub fn enter() -> Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}
