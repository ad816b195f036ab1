//! What is taken and what is not.

use serde_json::json;

use super::*;

const LOCATION: &str = "v2/projects/p/locations/r";

fn call(host: &str, verb: &str, path: &str, query: &[(&str, &str)]) -> Result<Called, Wrong> {
    let query: Vec<_> = query.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    called(&format!("{host}.googleapis.com"), verb, path, &query)
}

fn service() -> Called {
    call("run", "POST", &format!("{LOCATION}/services"), &[("serviceId", "s")]).unwrap()
}

#[test]
fn methods_are_found_by_their_paths() {
    for (host, verb, path, id) in [
        ("run", "GET", "v2/projects/p/locations/r/services/s", "run.projects.locations.services.get"),
        (
            "run",
            "GET",
            "v2/projects/p/locations/r/services/s:getIamPolicy",
            "run.projects.locations.services.getIamPolicy",
        ),
        ("run", "GET", "v2/projects/p/locations/r/operations/7", "run.projects.locations.operations.get"),
        ("storage", "GET", "storage/v1/b/b/o/a%2Fb", "storage.objects.get"),
        ("storage", "POST", "upload/storage/v1/b/b/o", "storage.objects.insert"),
        ("logging", "POST", "v2/entries:list", "logging.entries.list"),
    ] {
        assert_eq!(call(host, verb, path, &[]).unwrap().id(), id);
    }
    for (host, verb, path) in [
        ("run", "PUT", "v2/projects/p/locations/r/services/s"),
        ("run", "GET", "v1/projects/p/locations/r/services/s"),
        ("run", "GET", "v2/projects/p/locations/r/services/s:fly"),
        ("run", "GET", "v2/projects//locations/r/services/s"),
        ("storage", "GET", "storage/v1/b/b/o/a/b"),
        ("sql", "GET", "v1"),
    ] {
        call(host, verb, path, &[]).unwrap_err();
    }
}

#[test]
fn parameters_are_those_that_the_method_has() {
    let list = |query: &[(&str, &str)]| call("storage", "GET", "storage/v1/b/b/o", query);
    for query in [
        &[("prefix", "x"), ("maxResults", "7"), ("projection", "noAcl")][..],
        &[("fields", "items(name,size),nextPageToken"), ("prettyPrint", "false")],
        &[("fields", "items/metadata/anything"), ("alt", "json")],
        &[("fields", "*")],
    ] {
        list(query).unwrap();
    }
    for (query, words) in [
        (("bucket", "b"), "Unknown name \"bucket\": Cannot bind query parameter"),
        (("max-results", "7"), "max-results"),
        (("maxResults", "many"), "Invalid value at 'maxResults' (TYPE_UINT32), \"many\""),
        (("maxResults", "-1"), "maxResults"),
        (("projection", "some"), "projection"),
        (("versions", "1"), "versions"),
        (("alt", "media"), "alt"),
        (("fields", "items(nome)"), "Invalid field selection nome"),
        (("fields", "items(name"), "Invalid field selection"),
        (("fields", "kind/x"), "Invalid field selection x"),
    ] {
        let Wrong(said) = list(&[query]).unwrap_err();
        assert!(said.contains(words), "{query:?}: {said}");
    }
    call("storage", "GET", "storage/v1/b/b/o/o", &[("alt", "media")]).unwrap();
    let Wrong(said) = call("storage", "POST", "storage/v1/b", &[]).unwrap_err();
    assert_eq!(said, "Required parameter: project");
    let patch =
        |mask| call("cloudfunctions", "PATCH", &format!("{LOCATION}/functions/f"), &[("updateMask", mask)]);
    patch("labels,buildConfig,serviceConfig.availableMemory").unwrap();
    let Wrong(said) = patch("labels,memory").unwrap_err();
    assert_eq!(said, "Invalid value at 'updateMask': memory is no field of the message");
}

#[test]
fn bodies_have_the_fields_of_their_messages() {
    let whole = json!({
        "labels": { "a": "b" },
        "ingress": "INGRESS_TRAFFIC_ALL",
        "template": {
            "timeout": "300s",
            "scaling": { "maxInstanceCount": 7 },
            "containers": [{ "image": "scratch", "env": [{ "name": "X", "value": "y" }] }],
        },
    });
    service().check_body(Some(&whole)).unwrap();
    for (pointer, value, words) in [
        (
            "/template/containers/0/baseImage",
            json!("x"),
            "Invalid JSON payload received. Unknown name \"baseImage\" at 'service.template.containers[0]': Cannot find field.",
        ),
        ("/labels/a", json!(7), "Invalid value at 'service.labels[a]' (TYPE_STRING), 7"),
        ("/ingress", json!("ALL"), "Invalid value at 'service.ingress'"),
        ("/template/timeout", json!("5m"), "duration must end with 's'"),
        ("/template/timeout", json!(300), "service.template.timeout"),
        ("/template/scaling/maxInstanceCount", json!("7"), "(TYPE_INT32), \"7\""),
        ("/template/scaling/maxInstanceCount", json!(1_u64 << 40), "TYPE_INT32"),
        ("/template/containers", json!({}), "service.template.containers"),
        ("/template/containers/0/image", json!(null), "Required field service.template.containers[0].image"),
        ("/uri", json!("https://x"), "service.uri is output only"),
        ("/template", json!(null), "Required field service.template"),
    ] {
        let mut changed = whole.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        changed.pointer_mut(parent).unwrap()[name] = value;
        let Wrong(said) = service().check_body(Some(&changed)).unwrap_err();
        assert!(said.contains(words), "{pointer}: {said}");
    }
    service().check_body(None).unwrap_err();
    let get = call("run", "GET", &format!("{LOCATION}/services/s"), &[]).unwrap();
    get.check_body(None).unwrap();
    get.check_body(Some(&json!({}))).unwrap_err();
}

#[test]
fn answers_are_messages_and_only_what_was_asked_for() {
    let get = |fields| call("storage", "GET", "storage/v1/b/b/o/o", &[("fields", fields)]).unwrap();
    let object = json!({ "name": "o", "size": "7", "metadata": { "a": "b", "c": "d" }, "updated": "2026-01-31T23:59:59.999Z" });
    assert_eq!(get("*").answered(&object).unwrap(), object);
    assert_eq!(
        get("name,metadata/a").answered(&object).unwrap(),
        json!({ "name": "o", "metadata": { "a": "b" } })
    );
    for (wrong, words) in [
        (json!({ "size": 7 }), "object.size"),
        (json!({ "updated": "yesterday" }), "object.updated"),
        (json!({ "crc32c": 1 }), "object.crc32c"),
        (json!({ "length": "7" }), "length"),
        (json!({ "name": null }), "object.name"),
        (json!([]), "no Object"),
    ] {
        let said = get("*").answered(&wrong).unwrap_err();
        assert!(said.contains(words), "{wrong}: {said}");
    }
    let list = call("storage", "GET", "storage/v1/b/b/o", &[("fields", "items(name)")]).unwrap();
    let page = json!({ "kind": "storage#objects", "items": [{ "name": "a", "size": "1" }, { "size": "2" }] });
    assert_eq!(list.answered(&page).unwrap(), json!({ "items": [{ "name": "a" }, {}] }));
    let delete = call("storage", "DELETE", "storage/v1/b/b/o/o", &[]).unwrap();
    assert_eq!(delete.answered(&Value::Null), Ok(Value::Null));
    delete.answered(&json!({})).unwrap_err();
}

const BY_NUMBER: (&str, &str) = ("$alt", "json;enum-encoding=int");

#[test]
fn enums_have_names_and_numbers() {
    let service = |ingress: Value| json!({ "ingress": ingress, "template": { "containers": [{ "image": "scratch" }] } });
    let create = |query| call("run", "POST", &format!("{LOCATION}/services"), query).unwrap();
    let called = create(&[("serviceId", "s"), BY_NUMBER]);
    for right in [json!(2), json!("INGRESS_TRAFFIC_INTERNAL_ONLY")] {
        called.check_body(Some(&service(right.clone()))).unwrap();
        assert_eq!(called.read(&service(right)), service(json!("INGRESS_TRAFFIC_INTERNAL_ONLY")));
    }
    for wrong in [json!(7), json!(1.5), json!("2")] {
        let Wrong(said) = called.check_body(Some(&service(wrong))).unwrap_err();
        assert!(said.contains("Invalid value at 'service.ingress'"), "{said}");
    }
    // A text that is no enum is no number.
    let Wrong(said) = called
        .check_body(Some(&json!({ "template": { "serviceAccount": 1, "containers": [] } })))
        .unwrap_err();
    assert!(said.contains("service.template.serviceAccount"), "{said}");

    let answer = json!({ "ingress": "INGRESS_TRAFFIC_ALL", "launchStage": "GA", "terminalCondition": { "state": "CONDITION_FAILED", "reason": "REVISION_FAILED" } });
    let get = |query| call("run", "GET", &format!("{LOCATION}/services/s"), query).unwrap();
    assert_eq!(get(&[]).answered(&answer).unwrap(), answer);
    assert_eq!(get(&[("$alt", "json")]).answered(&answer).unwrap(), answer);
    // Numbers are not places in the list of names.
    let numbers = json!({ "ingress": 1, "launchStage": 4, "terminalCondition": { "state": 3, "reason": 3 } });
    assert_eq!(get(&[BY_NUMBER]).answered(&answer).unwrap(), numbers);
    // Answers are checked by names, whatever is sent.
    get(&[BY_NUMBER]).answered(&json!({ "ingress": 1 })).unwrap_err();

    for wrong in ["proto", "json;enum-encoding=name", ""] {
        let Wrong(said) =
            call("run", "GET", &format!("{LOCATION}/services/s"), &[("$alt", wrong)]).unwrap_err();
        assert!(said.contains("$alt"), "{said}");
    }
    let Wrong(said) = call("storage", "GET", "storage/v1/b/b", &[BY_NUMBER]).unwrap_err();
    assert!(said.contains("Unknown name \"$alt\""), "Cloud Storage has no such parameter: {said}");
}

#[test]
fn what_an_operation_ends_with_is_of_the_type_that_it_says() {
    let get = |query| call("run", "GET", &format!("{LOCATION}/operations/7"), query).unwrap();
    let over = |response: Value| json!({ "name": "7", "done": true, "response": response });
    let kind = "type.googleapis.com/google.cloud.run.v2.Service";
    let right = over(json!({ "@type": kind, "ingress": "INGRESS_TRAFFIC_ALL" }));
    assert_eq!(get(&[]).answered(&right).unwrap(), right);
    assert_eq!(get(&[BY_NUMBER]).answered(&right).unwrap(), over(json!({ "@type": kind, "ingress": 1 })));
    let said = get(&[]).answered(&over(json!({ "@type": kind, "egress": "ALL" }))).unwrap_err();
    assert!(said.contains("Unknown name \"egress\""), "{said}");
}

#[test]
fn what_the_path_says_may_be_said_again_and_not_otherwise() {
    let create = call("iam", "POST", "v1/projects/p/serviceAccounts", &[]).unwrap();
    let body = |name: &str| json!({ "name": name, "accountId": "a" });
    create.check_body(Some(&body("projects/p"))).unwrap();
    assert_eq!(create.read(&body("projects/p")), json!({ "accountId": "a" }));
    for wrong in ["projects/q", "projects", "", "projects/p/serviceAccounts/a"] {
        let Wrong(said) = create.check_body(Some(&body(wrong))).unwrap_err();
        assert!(said.contains("the path says projects/p/serviceAccounts"), "{said}");
    }
    let service = format!("{LOCATION}/services/s");
    let set = call("run", "POST", &format!("{service}:setIamPolicy"), &[]).unwrap();
    let body = |name: &str| json!({ "resource": name, "policy": { "bindings": [] } });
    set.check_body(Some(&body("projects/p/locations/r/services/s"))).unwrap();
    set.check_body(Some(&body("projects/p/locations/r/services/other"))).unwrap_err();
    // Nothing else is let through by it.
    set.check_body(Some(&json!({ "name": "projects/p", "policy": {} }))).unwrap_err();
}
