//! Runs a program under test to learn about it from its log, which depends on its
//! options.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use super::directory::Directory;

/// Runs a program with one -o for one lookup, so that it logs statistics. Returns
/// all that it logs.
pub fn ask(binary: &Path, option: &str) -> io::Result<String> {
    let said = ask_with("mail_owner = daemon\nsetgid_group = bin\n", binary, option)?;
    if said.contains("default_privs and mail_owner") {
        // It was built with this account as default_privs.
        return ask_with("mail_owner = bin\nsetgid_group = sys\n", binary, option);
    }
    Ok(said)
}

fn ask_with(accounts: &str, binary: &Path, option: &str) -> io::Result<String> {
    let directory = Directory::new()?;
    let main_cf = directory.path().join("main.cf");
    fs::write(
        &main_cf,
        format!("myhostname = mail.example.com\n{accounts}"),
    )?;
    // The C program reads a file that has just been changed again, after a pause.
    let file = File::options().write(true).open(&main_cf)?;
    file.set_modified(SystemTime::UNIX_EPOCH)?;
    let request = directory.path().join("request");
    fs::write(&request, "request\0find_endp\0label\0version\0\0")?;
    let output = Command::new(binary)
        .args(["-V", "-S", "-o", option, "-o"])
        .arg(format!("queue_directory={}", directory.path().display()))
        .env_clear()
        .env("MAIL_CONFIG", directory.path())
        .stdin(File::open(request)?)
        .output()?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}
