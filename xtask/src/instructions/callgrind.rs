//! Runs a program under callgrind and adds up what one object file of it cost.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::project::{Project, run_within};

pub(super) struct Callgrind<'a> {
    /// The function inside which is counted, with all that it calls; everywhere if there is none.
    pub(super) only_in: Option<&'a str>,
    pub(super) limit: Duration,
}

impl Callgrind<'_> {
    /// Instructions that were executed in object files whose name begins with `object`.
    pub(super) fn count(
        &self,
        project: &Project,
        object: &str,
        program: &Path,
        arguments: &[String],
    ) -> Result<u32> {
        fs::create_dir_all(&project.cache)?;
        let output = project.cache.join(format!("callgrind-{}", std::process::id()));
        let mut command = project.command("valgrind");
        command.args(["--quiet", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no"]);
        command.arg(format!("--callgrind-out-file={}", output.display()));
        command.args(self.only_in.map(|function| format!("--toggle-collect={function}")));
        // Where Python puts its objects in memory changes what hashing them takes, if only outside
        // of our code.
        command.arg(program).args(arguments).env("PYTHONHASHSEED", "0");
        let result = run_within(self.limit, &mut command);
        let text = fs::read_to_string(&output).with_context(|| output.display().to_string());
        // The result shows that an output is missing.
        let _ = fs::remove_file(&output);
        result?;
        match sum(&text?, object) {
            0 => bail!("callgrind saw no instruction in {object}*: has it debug information of its own?"),
            count => Ok(u32::try_from(count)?),
        }
    }
}

/// The own cost of all functions in objects of that name, from callgrind's output.
fn sum(text: &str, object: &str) -> u64 {
    let (mut own, mut called, mut sum) = (false, false, 0);
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("ob=") {
            own = path.rsplit('/').next().is_some_and(|file| file.starts_with(object));
        } else if line.starts_with("calls=") {
            // The next line is what the call cost in all, which stands again with the function that
            // is called.
            called = true;
        } else if line.starts_with(|c: char| c.is_ascii_digit())
            && !std::mem::take(&mut called)
            && own
            && let Some(cost) = line.split(' ').nth(1).and_then(|word| word.parse::<u64>().ok())
        {
            sum += cost;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_costs_of_one_object_are_added() {
        let text = "events: Ir\n\nob=/target/prog\nfn=f\n16 90\n17 5\ncob=/lib/libc.so.6\ncfn=memcpy\ncalls=3 9\n17 600\n\
                    18 1\n\nob=/lib/libc.so.6\nfn=memcpy\n9 600\n\nob=/target/prog\nfn=g\n3 4\ntotals: 700\n";
        assert_eq!(sum(text, "prog"), 100);
        assert_eq!(sum(text, "libc"), 600);
        assert_eq!(sum(text, "other"), 0);
    }
}
