//! Unit files of systemd, those that are shipped and those that pages show: systemd finds no fault
//! with them.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::project::{Project, capture};

/// Begins each unit that a page shows.
const HEAD: &str = "# /etc/systemd/system/";

struct Unit {
    /// Where it stands.
    file: String,
    /// Its name below `/etc/systemd/system`.
    name: String,
    text: String,
}

pub(super) fn check(project: &Project) -> Result<()> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard", "*.md", "*.service", "*.socket"];
    let files = capture(project.command("git").args(list))?;
    let mut units = Vec::new();
    for file in files.lines().filter(|file| project.root.join(file).is_file()) {
        let text =
            fs::read_to_string(project.root.join(file)).with_context(|| format!("cannot read {file}"))?;
        units.extend(take(file, &text));
    }
    // Fewer mean that they are written in another way, and that nobody looks at them.
    if units.len() < 3 {
        bail!("only {} units were found: three at least are shipped or shown", units.len());
    }
    let Ok(version) = capture(project.command("systemd-analyze").arg("--version")) else {
        println!("units: {} were not judged, since systemd-analyze is not here", units.len());
        return Ok(());
    };
    let folder = project.cache.join("units");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let faults: Vec<String> =
        units.iter().filter_map(|unit| judge(project, &folder, unit).transpose()).collect::<Result<_>>()?;
    if !faults.is_empty() {
        bail!("systemd finds fault with units:\n{}", faults.join("\n"));
    }
    let version = version.lines().next().unwrap_or_default();
    println!("units: {}, {version} finds no fault with any", units.len());
    Ok(())
}

/// The units of a file: it is one itself, or a page that shows some.
fn take(file: &str, text: &str) -> Vec<Unit> {
    let unit = |name: &str, text: &str| Unit { file: file.into(), name: name.into(), text: text.into() };
    if Path::new(file).extension().is_none_or(|kind| kind != "md") {
        let name = file.rsplit('/').next().unwrap_or(file);
        return vec![unit(name, text)];
    }
    let blocks = text.split("```ini\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks
        .flat_map(|block| block.split(HEAD).skip(1))
        .filter_map(|part| part.split_once('\n').map(|(name, text)| unit(name.trim(), text)))
        .collect()
}

/// What systemd says against a unit, if anything. It exits with 0 even so, if it can go on.
fn judge(project: &Project, folder: &Path, unit: &Unit) -> Result<Option<String>> {
    // A template is judged by one of its units.
    let path = folder.join(unit.name.replace("@.", "@judged."));
    fs::write(&path, here(&unit.text)).with_context(|| format!("cannot write {}", path.display()))?;
    let mut command = project.command("systemd-analyze");
    let output = command.args(["verify", "--man=no"]).arg(&path).output().context("cannot judge units")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let mut faults = said.trim().to_owned();
    // Without it `systemctl enable` has nothing to do, which `verify` does not say.
    if !unit.text.contains("\n[Install]\n") {
        faults.push_str("no [Install]: nothing starts it at boot");
    }
    if output.status.success() && faults.is_empty() {
        return Ok(None);
    }
    Ok(Some(format!("{} ({}): {faults}", unit.name, unit.file)))
}

/// The unit with a program that is on this machine: systemd looks whether there is one.
fn here(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix("ExecStart=") {
        Some(_) => "ExecStart=/bin/sh\n".to_owned(),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_each_unit_by_its_name_and_a_unit_file_has_its_own() {
        let page = "a\n```ini\n# /etc/systemd/system/a.service\n[Service]\n\n# /etc/systemd/system/b.service\n[X]\n```\n";
        let found = take("docs/page.md", page);
        let found: Vec<_> = found.iter().map(|unit| (unit.name.as_str(), unit.text.as_str())).collect();
        assert_eq!(found, [("a.service", "[Service]\n\n"), ("b.service", "[X]\n")]);
        assert_eq!(take("packaging/c@.service", "[Unit]\n")[0].name, "c@.service");
    }

    #[test]
    fn a_program_is_taken_for_one_that_is_there_and_nothing_else_changes() {
        assert_eq!(
            here("[Service]\nExecStart=/opt/x $A\nUser=v\n"),
            "[Service]\nExecStart=/bin/sh\nUser=v\n"
        );
    }
}
