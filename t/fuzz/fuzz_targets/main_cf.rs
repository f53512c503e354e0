//! Reads any text as main.cf and looks up every parameter: no text may cause a crash or
//! an endless loop. A lookup succeeds, or fails with a message.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use scache::global::mail_conf::MailConf;
use scache::global::mail_params::{mail_params_init, scache_params_init};
use scache::global::mail_version::MailVersion;

fuzz_target!(|text: &[u8]| {
    // A parameter that names another twice has twice its length. In a chain of such
    // parameters the length has no limit, in the C program neither.
    if text.iter().filter(|&&byte| byte == b'$').count() > 8 {
        return;
    }
    let directory = std::env::temp_dir().join(format!("scache-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("mkdir");
    let path = directory.join("main.cf");
    std::fs::write(&path, text).expect("write");
    // Set back, because a file that has just been changed is read again, after a pause.
    let file = std::fs::File::options().write(true).open(path);
    let file = file.expect("open");
    file.set_modified(std::time::UNIX_EPOCH).expect("set time");
    let _ = read(&directory);
    let mut conf = MailConf::new(&directory, MailVersion::BUILT_IN);
    let _ = conf.eval(text);
    let _ = conf.update_option(text);
});

fn read(directory: &Path) -> Result<(), String> {
    let mut conf = MailConf::new(directory, MailVersion::BUILT_IN);
    conf.load()?;
    mail_params_init(&mut conf)?;
    scache_params_init(&mut conf)?;
    Ok(())
}
