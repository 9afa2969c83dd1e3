//! `ingot completions` and `ingot man`: made from the command line's own definition.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    sync::Arc,
};

use anyhow::Context as _;
use clap::Command;
use ingot_artifacts::write_atomically;

use super::args::{CompletionsArgs, ManArgs};
use crate::{args::definition, edition::Chosen, exit::Outcome, ui::Ui};

/// Prints a completion script.
pub(crate) fn completions(chosen: &Chosen, args: &CompletionsArgs) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    let name = chosen.edition.executable();
    clap_complete::generate(args.shell, &mut definition(chosen.edition), name, &mut script);
    print(&script);
    Ok(Outcome::Done)
}

/// A closed pipe is no reason to fail.
fn print(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Prints the manual's first page, or writes all of them.
pub(crate) fn man(ui: &Arc<Ui>, chosen: &Chosen, args: &ManArgs) -> anyhow::Result<Outcome> {
    let name = chosen.edition.executable();
    let mut command = definition(chosen.edition);
    command.build();
    let Some(folder) = &args.out else {
        print(&page(&command, name)?);
        return Ok(Outcome::Done);
    };
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let pages = write(folder, &command, name)?;
    ui.note(format!("{pages} pages in {}", folder.display()));
    Ok(Outcome::Done)
}

/// A page for a command, and for each of its subcommands; how many they are.
fn write(folder: &Path, command: &Command, name: &str) -> anyhow::Result<usize> {
    write_atomically(&folder.join(format!("{name}.1")), &page(command, name)?)?;
    let mut pages = 1;
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help")
    {
        pages += write(folder, inner, &format!("{name}-{}", inner.get_name()))?;
    }
    Ok(pages)
}

fn page(command: &Command, name: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let command = command.clone().display_name(name.to_owned());
    clap_mangen::Man::new(command).render(&mut bytes).context("cannot make the manual")?;
    Ok(bytes)
}
