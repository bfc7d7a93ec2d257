//! Whether systemd-logind removes a user's shared memory at the last logout: `RemoveIPC=`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Where its drop-ins are; a file of an earlier folder hides one of the same name in a later one.
const FOLDERS: [&str; 4] = ["etc/systemd", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd"];

/// Whether it removes the memory of a user who is no system user. It does unless it is forbidden.
pub(super) fn removes_ipc(root: &Path) -> bool {
    let main = FOLDERS.iter().find_map(|folder| text(&root.join(folder).join("logind.conf")));
    let mut dropped_in = BTreeMap::new();
    for folder in FOLDERS {
        let Ok(entries) = fs::read_dir(root.join(folder).join("logind.conf.d")) else { continue };
        for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().ends_with(".conf"))
        {
            dropped_in.entry(entry.file_name()).or_insert_with(|| text(&entry.path()).unwrap_or_default());
        }
    }
    // The last word counts.
    let texts = main.into_iter().chain(dropped_in.into_values());
    texts.filter_map(|text| setting(&text)).next_back().unwrap_or(true)
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// What one file says, if it says anything.
fn setting(text: &str) -> Option<bool> {
    let mut in_section = false;
    let mut found = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            in_section = line == "[Login]";
        } else if let Some((key, value)) = line.split_once('=')
            && in_section
            && key.trim() == "RemoveIPC"
        {
            found = match value.trim().to_ascii_lowercase().as_str() {
                "no" | "false" | "off" | "0" | "n" | "f" => Some(false),
                "yes" | "true" | "on" | "1" | "y" | "t" => Some(true),
                // Systemd ignores it.
                _ => found,
            };
        }
    }
    found
}
