//! `rustwren jobs`: jobs whose state is in storage.

use crate::args::{Cli, JobsCommand};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::place::Place;

mod attach;
mod bar;
mod cancel;
mod clean;
mod describe;
mod driver;
mod list;
mod show;

/// Does what was asked for.
pub(crate) fn run(cli: &Cli, command: &JobsCommand) -> Result<Exit, Failure> {
    let place = Place::open(cli)?;
    match command {
        JobsCommand::List { json, all } => list::run(&place, *json, *all),
        JobsCommand::Show { id, json } => show::run(&place, id, *json),
        JobsCommand::Attach { id, budget } => attach::run(&place, id, budget),
        JobsCommand::Cancel { ids, no_wait } => cancel::run(&place, ids, *no_wait),
        JobsCommand::Clean(args) => clean::run(&place, args),
    }
}
