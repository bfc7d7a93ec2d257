//! What `--json` prints when a stream has ended, however it ended.
use serde::Serialize;

use crate::exit::Exit;
use crate::fail::Fail;
use crate::output;

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum End {
    /// The input or the writer came to its end, or the number of frames was reached.
    Complete,
    /// By a signal: the usual end of an endless stream.
    Interrupted,
    /// By an error, which is reported beside.
    Failed,
}

/// The end of a stream, as part of a summary.
#[derive(Debug, Serialize)]
pub(crate) struct Ended {
    end: End,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Ended {
    pub(crate) fn of(result: &Result<(), Fail>) -> Ended {
        match result {
            Ok(()) => Ended { end: End::Complete, error: None },
            Err(Fail { exit: Exit::Signal(_), .. }) => Ended { end: End::Interrupted, error: None },
            Err(fail) => Ended { end: End::Failed, error: fail.line() },
        }
    }
}

/// Prints the summary and hands the result on; an error that was there before is the one to tell.
pub(crate) fn print(summary: &impl Serialize, result: Result<(), Fail>) -> Result<(), Fail> {
    let printed = output::print_json(summary);
    result.and(printed)
}
