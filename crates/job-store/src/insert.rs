//! Adding jobs to the graph, alone or as part of a completion.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ingot_types::JobKey;

use crate::{graph::Planner, Effect, Job, JobSpec, JobState, Refusal, Rows, Status};

/// Adds `specs`; those with a creator depend on it, so that they wait if it has to run again.
///
/// A job that exists is left as it is, provided that version, dependencies and creator agree. Its inputs must agree as
/// well, except when its creator ran again: then it takes the new inputs, unless it is done.
pub(crate) fn insert_jobs<R: Rows>(
    plan: &mut Planner<'_, R>,
    specs: &[JobSpec],
    creator: Option<JobKey>,
) -> Result<(), R::Error> {
    let mut new = BTreeMap::new();
    for spec in specs {
        let mut spec = spec.clone();
        if let Some(creator) = creator.filter(|c| !spec.depends_on.contains(c)) {
            spec.depends_on.push(creator);
        }
        check_spec(&spec)?;
        match plan.find(&spec.key)? {
            Some(existing) => merge(plan, existing, spec, creator)?,
            None => {
                let key = spec.key;
                if new.insert(key, spec).is_some() {
                    return Err(bad(key, "it is in the request twice").into());
                }
            }
        }
    }
    for (key, spec) in &new {
        for dependency in &spec.depends_on {
            if !new.contains_key(dependency) && plan.find(dependency)?.is_none() {
                return Err(bad(*key, format!("it depends on job {dependency}, which does not exist")).into());
            }
        }
    }
    if let Some(key) = on_a_cycle(&new) {
        return Err(bad(key, "it depends on itself through other jobs").into());
    }
    for (key, spec) in new {
        let status = Status::new(JobState::Queued);
        let mut job = Job { spec: Arc::new(spec), created_by: creator, status };
        job.status.state = JobState::ready_or_waiting(plan.missing(&job)?);
        if job.status.state == JobState::Queued {
            plan.delta.effects.push((key, Effect::Ready));
        }
        plan.delta.changed.insert(key, job);
    }
    Ok(())
}

fn merge<R: Rows>(
    plan: &mut Planner<'_, R>,
    mut existing: Job,
    spec: JobSpec,
    creator: Option<JobKey>,
) -> Result<(), R::Error> {
    let key = spec.key;
    let old = &existing.spec;
    let same_inputs = old.inputs == spec.inputs;
    let conflict = if old.protocol_version != spec.protocol_version {
        Some("protocol version")
    } else if old.depends_on != spec.depends_on {
        Some("list of dependencies")
    } else if existing.created_by != creator {
        Some("creator")
    } else if !same_inputs && creator.is_none() {
        Some("list of inputs")
    } else {
        None
    };
    if let Some(what) = conflict {
        return Err(Refusal::Conflict { key, what }.into());
    }
    if !same_inputs && !existing.status.state.is_done() {
        existing.spec = Arc::new(JobSpec { inputs: spec.inputs, ..JobSpec::clone(old) });
        plan.delta.changed.insert(key, existing);
    }
    Ok(())
}

fn check_spec(spec: &JobSpec) -> Result<(), Refusal> {
    if spec.max_attempts == 0 {
        return Err(bad(spec.key, "it allows no attempt"));
    }
    let mut seen = BTreeSet::new();
    for dependency in &spec.depends_on {
        if dependency.batch != spec.key.batch {
            return Err(bad(spec.key, format!("it depends on job {dependency} of another batch")));
        }
        if !seen.insert(dependency) {
            return Err(bad(spec.key, format!("it depends on job {dependency} twice")));
        }
    }
    Ok(())
}

/// A job that no order of execution reaches. Only new jobs can be on a cycle: none that exists depends on them.
fn on_a_cycle(new: &BTreeMap<JobKey, JobSpec>) -> Option<JobKey> {
    let mut dependents: BTreeMap<JobKey, Vec<JobKey>> = BTreeMap::new();
    let mut missing: BTreeMap<JobKey, usize> = BTreeMap::new();
    for (key, spec) in new {
        let inner = spec.depends_on.iter().filter(|d| new.contains_key(d));
        missing.insert(*key, inner.clone().count());
        inner.for_each(|d| dependents.entry(*d).or_default().push(*key));
    }
    let mut ready: Vec<JobKey> = missing.iter().filter(|(_, n)| **n == 0).map(|(key, _)| *key).collect();
    while let Some(key) = ready.pop() {
        missing.remove(&key);
        for dependent in dependents.remove(&key).unwrap_or_default() {
            if let Some(count) = missing.get_mut(&dependent) {
                *count -= 1;
                if *count == 0 {
                    ready.push(dependent);
                }
            }
        }
    }
    missing.into_keys().next()
}

fn bad(key: JobKey, reason: impl Into<String>) -> Refusal {
    Refusal::BadJob { key, reason: reason.into() }
}
