//! Does the commands about transactions. Called by `execute`; `connection` asks it first whether
//! a request is to be queued.

use super::{Context, is_entity};
use crate::resp::command::{Refusal, Spec, TransactionCommand};
use crate::resp::session::{Queue, Request};
use crate::resp::{Arguments, Command, Reply, Session};
use crate::service::ServiceError;
use crate::service::keys::Watcher;

/// Queues a request that came between `MULTI` and `EXEC`; none if it is to be done now.
pub(in crate::resp) fn queue(
    session: &mut Session,
    arguments: Arguments<'_>,
    parsed: &Result<(Command<'_>, &'static Spec), Refusal>,
) -> Option<Reply> {
    let queue = session.queue.as_mut()?;
    match parsed {
        // As in Redis, only what is no command at all breaks the transaction now.
        Err(refusal) if refusal.is_of_the_table(arguments) => {
            queue.is_broken = true;
            Some(Reply::Error(refusal.to_string()))
        }
        Ok((Command::Transaction(command), _)) => match command {
            TransactionCommand::Exec | TransactionCommand::Discard => None,
            TransactionCommand::Multi => Some(Reply::error("ERR MULTI calls can not be nested")),
            TransactionCommand::Watch(_) => {
                Some(Reply::error("ERR WATCH inside MULTI is not allowed"))
            }
            TransactionCommand::Unwatch => Some(keep(queue, arguments)),
        },
        Ok((_, spec)) if matches!(spec.name, "quit" | "reset" | "hello" | "auth") => None,
        // What else is wrong with a command is told when it is done.
        Ok(_) | Err(_) => Some(keep(queue, arguments)),
    }
}

/// Most bytes that a client may have queued.
const MOST_QUEUED: usize = 64 << 20;

fn keep(queue: &mut Queue, arguments: Arguments<'_>) -> Reply {
    if queue.bytes > MOST_QUEUED {
        queue.is_broken = true;
        return Reply::error("ERR too much is queued for one transaction");
    }
    let request = Request::of(arguments);
    queue.bytes += request.len();
    queue.requests.push(request);
    Reply::Simple("QUEUED")
}

pub(super) fn execute(
    command: TransactionCommand<'_>,
    context: &mut Context<'_, '_>,
) -> Result<Reply, ServiceError> {
    Ok(match command {
        TransactionCommand::Multi => {
            context.session.queue = Some(Queue::default());
            Reply::OK
        }
        TransactionCommand::Discard if context.session.queue.is_some() => {
            context.session.queue = None;
            unwatch(context);
            Reply::OK
        }
        TransactionCommand::Discard => Reply::error("ERR DISCARD without MULTI"),
        TransactionCommand::Watch(keys) => {
            for key in keys.from(1) {
                watch(context, key)?;
            }
            Reply::OK
        }
        TransactionCommand::Unwatch => {
            unwatch(context);
            Reply::OK
        }
        TransactionCommand::Exec => exec(context)?,
    })
}

fn exec(context: &mut Context<'_, '_>) -> Result<Reply, ServiceError> {
    let Some(queue) = context.session.queue.take() else {
        return Ok(Reply::error("ERR EXEC without MULTI"));
    };
    if queue.is_broken {
        unwatch(context);
        let text = "EXECABORT Transaction discarded because of previous errors.";
        return Ok(Reply::error(text));
    }
    let Context {
        service,
        reader,
        session,
        turn,
        catalog,
        labels,
        writer,
    } = context;
    turn.alone(|turn| {
        let mut context = Context {
            service,
            reader,
            session,
            turn,
            catalog,
            labels,
            writer,
        };
        let is_changed = is_changed(&mut context)?;
        unwatch(&mut context);
        if is_changed {
            return Ok(Reply::NullArray);
        }
        context.writer.array(queue.requests.len());
        for request in &queue.requests {
            let reply = one(request, &mut context);
            context.writer.write(&reply, context.session.protocol);
        }
        Ok(Reply::Written)
    })?
}

fn one(request: &Request, context: &mut Context<'_, '_>) -> Reply {
    let arguments = request.arguments();
    match Command::parse(arguments) {
        Ok((command, spec)) => super::execute(&command, spec, arguments, context),
        Err(refusal) => Reply::Error(refusal.to_string()),
    }
}

/// Watches a key: a plain one is told of its changes, a row of features is compared.
fn watch(context: &mut Context<'_, '_>, key: &[u8]) -> Result<(), ServiceError> {
    let row = row_hash(context, key)?;
    let session = &mut *context.session;
    let is_there = context.turn.watch(key, &session.watcher)?;
    session.watched.push((key.into(), is_there, row));
    Ok(())
}

/// Whether a watched key was changed, has expired, or is another row now.
fn is_changed(context: &mut Context<'_, '_>) -> Result<bool, ServiceError> {
    let watched = std::mem::take(&mut context.session.watched);
    let mut is_changed = context.session.watcher.is_touched();
    for (key, was_there, row) in &watched {
        let is_there = context.turn.read(key, |found| found.is_some())?;
        is_changed |= is_there != *was_there || row_hash(context, key)? != *row;
    }
    context.session.watched = watched;
    Ok(is_changed)
}

fn row_hash(context: &Context<'_, '_>, key: &[u8]) -> Result<Option<u64>, ServiceError> {
    if !is_entity(context.catalog, key) {
        return Ok(None);
    }
    match super::entity_key(context.catalog, key) {
        Some(key) => context.service.row_hash(key),
        None => Ok(None),
    }
}

/// Ends all watches.
pub(super) fn unwatch(context: &mut Context<'_, '_>) {
    let session = &mut *context.session;
    for (key, ..) in session.watched.drain(..) {
        context.turn.unwatch(&key, &session.watcher);
    }
    session.watcher = Watcher::default();
}
