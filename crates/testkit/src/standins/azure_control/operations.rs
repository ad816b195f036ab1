//! Operations that go on after a call has been answered.

use serde_json::{Value, json};

use super::state::{State, not_found};
use super::{Answer, Answered, Course, Refusal};

/// How its end is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Location,
    Operation,
}

#[derive(Debug)]
pub(super) struct Operation {
    way: Way,
    course: Course,
    asked: usize,
    /// What it does when it is over: a thing by its id, or none for one that goes.
    effect: (String, Option<Value>),
}

impl State {
    fn begin(&mut self, way: Way, effect: (String, Option<Value>)) -> String {
        let number = self.next();
        let course = self.courses.pop_front().unwrap_or(Course::After(1));
        self.operations.insert(number, Operation { way, course, asked: 0, effect });
        let own = format!("{}/operations/{number}?api-version=1", self.address);
        self.astray.take().unwrap_or(own)
    }

    /// Begins an operation whose end is seen at its `Location`.
    pub(super) fn begin_by_location(&mut self, effect: (String, Option<Value>)) -> Answer {
        let url = self.begin(Way::Location, effect);
        Answer {
            status: 202,
            headers: vec![("location", url), ("retry-after", "3".to_owned())],
            body: Value::Null,
        }
    }

    /// Begins an operation that has a state of its own.
    pub(super) fn begin_by_operation(&mut self, effect: (String, Option<Value>)) -> Answer {
        let url = self.begin(Way::Operation, effect);
        Answer { status: 201, headers: vec![("azure-asyncoperation", url)], body: Value::Null }
    }

    /// How far one is.
    pub(super) fn operation(&mut self, path: &str) -> Answered {
        let number: u64 = path.rsplit('/').next().and_then(|text| text.parse().ok()).unwrap_or_default();
        let operation = self.operations.get_mut(&number).ok_or_else(|| not_found(path))?;
        operation.asked += 1;
        let way = operation.way;
        match operation.course {
            Course::After(times) if operation.asked >= times => {
                let effect = operation.effect.clone();
                let body = effect.1.clone().unwrap_or_default();
                self.take_effect(effect);
                Ok(match way {
                    Way::Location => body.into(),
                    Way::Operation => json!({ "status": "Succeeded" }).into(),
                })
            }
            Course::Fails(code, message) if way == Way::Operation => {
                Ok(json!({ "status": "Failed", "error": { "code": code, "message": message } }).into())
            }
            Course::Fails(code, message) => Err(Refusal::new(400, code, message)),
            Course::After(_) | Course::Never => Ok(match way {
                Way::Location => Answer { status: 202, headers: Vec::new(), body: Value::Null },
                Way::Operation => json!({ "status": "InProgress" }).into(),
            }),
        }
    }
}
