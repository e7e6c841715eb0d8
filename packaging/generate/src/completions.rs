//! Shell completions: each program's command line comes in, a file for each shell goes out.

use std::fs;
use std::io;
use std::path::Path;

use clap_complete::{Shell, generate_to};
use tools::command_lines;

const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Writes `bash/`, `zsh/` and `fish/`, with the names that each shell looks for.
pub(crate) fn write_all(out: &Path) -> io::Result<()> {
    for shell in SHELLS {
        let dir = out.join(shell.to_string());
        fs::create_dir_all(&dir)?;
        for mut program in command_lines::all() {
            let name = program.get_name().to_owned();
            let file = generate_to(shell, &mut program, &name, &dir)?;
            if shell == Shell::Bash {
                // bash-completion looks for the program's name alone.
                fs::write(dir.join(&name), mended(&fs::read_to_string(&file)?, &name))?;
                fs::remove_file(file)?;
            }
        }
    }
    Ok(())
}

/// clap_complete 4.6 writes a program's dash in one way where it says which command is being typed and in another
/// where it looks that up, so that nothing would be offered after a command of `passenger-config`.
fn mended(script: &str, name: &str) -> String {
    script.replace(&name.replace('-', "__subcmd__"), &name.replace('-', "__"))
}
