"""Configuration is refused by the field that is wrong, and keeps its secrets."""

from __future__ import annotations

import pickle
from datetime import timedelta

import pytest
from pydantic import SecretStr

from coatcheck.config import Config, Place, S3Config
from coatcheck.errors import InvalidConfig, InvalidName

SECRET = "hunter2-hunter2-hunter2"

BAD_TEXTS = (5, ["text"], {}, True)
BAD_COUNTS = ("many", 1.5, [], {}, None)
BAD_URLS = (
    *("", "host", "host:9000", "ftp://host", "//host", "http://", "https:///path"),
    *("s3://bucket", f"https://user:{SECRET}@host", "https://user@host"),
    *("https://host?x=1", "https://host/#x", "https://[", 5, []),
)

BAD_FIELDS = {
    "backends": [
        *(
            (),
            [],
            "inline",
            "s3,https",
            b"s3",
            {"s3"},
            {"s3": 1},
            None,
            5,
            iter(["s3"]),
        ),
        *(["ftp"], ["S3"], [""], ["inline", "memory"], ["s3", "s3"], ["inline"] * 2),
        *(["s3", "inline"], ["mem", "https", "inline"], [5], [None], [["s3"]]),
    ],
    "max_inline_len": [0, -1, 8193, *BAD_COUNTS],
    "share_ttl_sec": [0, -1, 604_801, 10**9, *BAD_COUNTS],
    "digest": ["", "MD5", "sha1", "sha512", None, 5, ["md5"]],
    "compression": ["", "gzip", "ZSTD", None, True, 3],
    "max_payload_bytes": [0, -1, 2**31 + 1, *BAD_COUNTS],
    "namespaces": [
        *(None, 5, "s3://b", ["s3://b"], {"ns": 5}, {"ns": None}, {5: "s3://b"}),
        *({"": "s3://b"}, {"a/b": "s3://b"}, {"a\nb": "s3://b"}, {"..": "s3://b"}),
        *({"ns": url} for url in ("", "b", "ftp://b", "s3:b", "s3://", "s3:///p/")),
        *({"ns": url} for url in ("s3://b/p", "s3://b?x", "s3://b#x", "https://b/p/")),
        *({"ns": url} for url in ("inline://b", "s3://b/\x00/", "s3://b\n", "s3://..")),
        *({"ns": url} for url in ("mem://b", "file://b/p/")),
    ],
    "trusted_hosts": ["host", None, 5, {"host": 1}, [5], [None], b"host", {"host"}],
    "public_url": [
        *(*BAD_URLS, "https://host/ü", "https://host/a b", "https://host\\b"),
    ],
    "signing_key": ["", "short", SECRET[:15], 5, [SECRET], {"key": SECRET}],
    "retired_signing_keys": [
        *(SECRET, None, 5, [""], [SECRET, SECRET[:15]], [None], {SECRET: 1}),
    ],
    "filesystem_root": ["", *BAD_TEXTS],
    "durable": ["perhaps", 5, None, [], {}],
    "total_timeout": [
        *(0, -1, timedelta(0), timedelta(-1), timedelta(days=1, microseconds=1)),
        *(
            "",
            "soon",
            None,
            [],
            float("nan"),
            float("inf"),
            "nan",
            "inf",
            "-5",
            10**300,
        ),
    ],
    "concurrency": [0, -1, 10_001, *BAD_COUNTS],
    "grace": [-1, timedelta(days=2), "later", None, [], float("nan"), "inf"],
    "cache_bytes": [-1, *BAD_COUNTS],
    "cache_ttl": [0, -1, timedelta(days=2), "later", None, [], float("nan"), "inf"],
    "s3": [None, 5, "s3", [], {"nope": 1}, {"region": ""}, Config()],
}
BAD_S3_FIELDS = {
    "endpoint_url": BAD_URLS,
    "public_endpoint_url": BAD_URLS,
    "region": ["", "r" * 65, *BAD_TEXTS],
    "addressing_style": ["", "Path", None, 5],
    "anonymous": ["perhaps", None, 5],
    "wire": ["", "fast", None, 5],
    "create_buckets": ["perhaps", 5, None],
    "max_pool_connections": [0, -1, 10_001, *BAD_COUNTS],
    "ca_bundle": ["", *BAD_TEXTS],
    "expected_bucket_owner": ["", "1" * 11, "1" * 13, "12345678901a", 123456789012],
    "sse": ["", "s" * 257, *BAD_TEXTS],
}


def cases(fields):
    return [
        pytest.param(field, value, id=f"{field}-{ascii(value)[:24]}-{number}")
        for field, values in fields.items()
        for number, value in enumerate(values)
    ]


def refusal(make, *args, **fields):
    with pytest.raises(InvalidConfig) as caught:
        make(*args, **fields)
    assert caught.value.__cause__ is None
    message = str(caught.value)
    assert SECRET not in message
    assert message.isascii()
    return message


def test_every_field_has_a_wrong_value_here():
    """The tables above know every field."""
    assert set(BAD_FIELDS) == set(Config.model_fields)
    assert set(BAD_S3_FIELDS) == set(S3Config.model_fields)


@pytest.mark.parametrize(("field", "value"), cases(BAD_FIELDS))
def test_a_wrong_field_is_named(field, value):
    """A field that cannot be used is refused under its name, its value unprinted."""
    message = refusal(Config, **{field: value})
    assert message.startswith("Config cannot be used: ")
    assert field in message


@pytest.mark.parametrize(("field", "value"), cases(BAD_S3_FIELDS))
def test_a_wrong_field_of_s3_is_named(field, value):
    """Alone, and inside a Config, a wrong field of S3Config is named."""
    assert f"S3Config cannot be used: {field}: " in refusal(S3Config, **{field: value})
    assert f"s3: S3Config cannot be used: {field}: " in refusal(
        Config, s3={field: value}
    )


@pytest.mark.parametrize("make", [Config, S3Config])
def test_an_unknown_field_is_refused(make):
    """A misspelt field is not ignored."""
    assert "share_ttl: " in refusal(make, share_ttl=SECRET)


def test_all_wrong_fields_are_named_at_once():
    """One refusal tells of all fields."""
    message = refusal(Config, digest="x", concurrency=0, s3={"wire": "x"})
    assert all(field in message for field in ("digest: ", "concurrency: ", "wire: "))


def test_fields_that_need_each_other_are_named():
    """Files need a root, and namespaces a backend that is configured."""
    assert "filesystem_root" in refusal(Config, backends=["file"])
    message = refusal(Config, backends=["mem"], namespaces={"ns": "s3://b"})
    assert "namespaces: 's3' is not in backends" in message


@pytest.mark.parametrize(
    "backends", [["inline", "s3"], ("inline", "s3"), ["mem"], ["inline"], ("https", "s3")]
)  # fmt: skip
def test_lists_stand_for_tuples(backends):
    """A list is taken where a tuple stands, and kept as one."""
    config = Config(backends=backends, trusted_hosts=list("ab"))
    assert config.backends == tuple(backends)
    assert config.trusted_hosts == ("a", "b")


def test_the_defaults_are_as_documented():
    """Without arguments the configuration is the published one."""
    config = Config()
    assert config.backends == ("inline", "s3", "https")
    assert (config.max_inline_len, config.share_ttl_sec) == (100, 10)
    assert (config.digest, config.compression) == ("md5", "none")
    assert config.max_payload_bytes == 64 * 1024 * 1024
    assert (dict(config.namespaces), config.trusted_hosts) == ({}, ())
    assert (config.public_url, config.signing_key) == (None, None)
    assert (config.filesystem_root, config.durable) == (None, True)
    assert config.total_timeout == timedelta(seconds=60)
    assert (config.concurrency, config.cache_bytes) == (64, 0)
    assert config.grace == timedelta(minutes=15)
    assert config.cache_ttl == timedelta(seconds=60)
    assert config.s3 == S3Config(addressing_style="auto", wire="auto")


def test_secrets_are_not_shown():
    """No text of a configuration has the signing key in it."""
    config = Config(signing_key=SECRET, retired_signing_keys=[SECRET])
    assert config.signing_key.get_secret_value() == SECRET
    for text in (repr(config), str(config), config.model_dump_json()):
        assert SECRET not in text


@pytest.mark.parametrize("url", [f"s3://u:{SECRET}@b", f"s3://u:{SECRET}@b/p"])
def test_a_password_in_a_namespace_is_not_shown(url):
    """A URL with a password is refused without it."""
    refusal(Config, namespaces={"ns": url})


def test_a_configuration_is_a_value():
    """Equal by what it says, hashable, frozen and picklable."""
    fields = {"namespaces": {"ns": "s3://b/p/"}, "signing_key": SECRET}
    one, other = Config(**fields), Config(**fields)
    assert (one, hash(one)) == (other, hash(other))
    assert one != Config(**{**fields, "namespaces": {"ns": "s3://other/p/"}})
    assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(ValueError, match="frozen"):
        one.digest = "sha256"
    with pytest.raises(TypeError):
        one.namespaces["other"] = "s3://b"


def test_a_configuration_keeps_no_mapping_of_the_caller():
    """Changing what was given changes nothing."""
    given = {"ns": "s3://b"}
    config = Config(namespaces=given)
    given["other"] = "nonsense"
    assert dict(config.namespaces) == {"ns": "s3://b"}


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://b", Place(scheme="s3", bucket="b", prefix="")),
        ("s3://b/", Place(scheme="s3", bucket="b", prefix="")),
        ("s3://b/p/q/", Place(scheme="s3", bucket="b", prefix="p/q/")),
    ],
)
def test_a_mapped_namespace_has_its_place(url, place):
    """A namespace is kept where the mapping says, and no other is admitted."""
    config = Config(namespaces={"ns": url})
    assert config.place("ns") == place
    with pytest.raises(InvalidName, match="not in Config.namespaces") as caught:
        config.place("other\n" + "x" * 10**6)
    assert len(str(caught.value)) < 300


def test_without_a_mapping_namespaces_have_no_place():
    """Nothing mapped means that nothing is refused."""
    assert Config().place("anything") is None


def test_urls_lose_their_last_slash():
    """A URL with and without a slash at its end is the same."""
    assert Config(public_url="https://host/base/").public_url == "https://host/base"


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("BACKENDS", "inline, file,", "backends", ("inline", "file")),
        ("BACKENDS", ' ["mem", "https"]', "backends", ("mem", "https")),
        ("TRUSTED_HOSTS", "a.example,b.example", "trusted_hosts", ("a.example", "b.example")),
        ("TRUSTED_HOSTS", "", "trusted_hosts", ()),
        ("RETIRED_SIGNING_KEYS", f"{SECRET},{SECRET}", "retired_signing_keys", (SecretStr(SECRET),) * 2),
        ("NAMESPACES", '{"ns": "s3://b/p/"}', "namespaces", {"ns": "s3://b/p/"}),
        ("MAX_INLINE_LEN", "200", "max_inline_len", 200),
        ("DURABLE", "false", "durable", False),
        ("TOTAL_TIMEOUT", "1.5", "total_timeout", timedelta(seconds=1.5)),
        ("GRACE", "PT5M", "grace", timedelta(minutes=5)),
        ("CACHE_TTL", "2.5", "cache_ttl", timedelta(seconds=2.5)),
        ("S3__ENDPOINT_URL", "http://h:9000", "s3", S3Config(endpoint_url="http://h:9000")),
        ("S3__CREATE_BUCKETS", "1", "s3", S3Config(create_buckets=True)),
        ("S3", '{"region": "eu-1"}', "s3", S3Config(region="eu-1")),
    ],
)  # fmt: skip
def test_the_environment_is_read(name, text, field, value):
    """Each field has its variable, lists two spellings, and S3's stand behind S3__."""
    environ = {f"COATCHECK_{name}": text, "COATCHECK_FILESYSTEM_ROOT": "/srv"}
    assert getattr(Config.from_env(environ), field) == value
    assert Config.from_env({f"coatcheck_{name.lower()}": text, **environ})


@pytest.mark.parametrize(
    ("name", "text", "fields"),
    [
        ("BACKENDS", "s3,inline", ["backends"]),
        ("BACKENDS", "", ["backends"]),
        ("BACKENDS", '["s3"', ["backends"]),
        ("BACKENDS", "[5]", ["backends"]),
        ("NAMESPACES", f'{{"ns": {SECRET}', ["namespaces"]),
        ("NAMESPACES", '["s3"]', ["namespaces"]),
        ("SIGNING_KEY", SECRET[:15], ["signing_key"]),
        ("RETIRED_SIGNING_KEYS", f"{SECRET},short", ["retired_signing_keys"]),
        ("RETIRED_SIGNING_KEYS", f'["{SECRET}"', ["retired_signing_keys"]),
        ("DIGEST", "sha1", ["digest"]),
        ("CONCURRENCY", "many", ["concurrency"]),
        ("TOTAL_TIMEOUT", "soon", ["total_timeout"]),
        ("S3__WIRE", "fast", ["s3", "wire"]),
        ("S3__NOPE", "1", ["s3", "nope"]),
        ("S3__ENDPOINT_URL", f"https://u:{SECRET}@h", ["s3", "endpoint_url"]),
        ("S3", "{", ["s3"]),
    ],
)
def test_a_wrong_variable_is_named(name, text, fields):
    """A variable that cannot be used is refused under its field's name, unprinted."""
    with pytest.raises(InvalidConfig) as caught:
        Config.from_env({f"COATCHECK_{name}": text})
    assert all(field in str(caught.value) for field in fields)
    assert SECRET not in str(caught.value)


def test_only_from_env_reads_the_environment(monkeypatch):
    """Arguments mean the same everywhere; from_env reads the process's variables."""
    monkeypatch.setenv("COATCHECK_DIGEST", "sha256")
    monkeypatch.setenv("COATCHECK_S3__REGION", "eu-1")
    for config in (Config(), Config.from_env({}), Config.from_env({"DIGEST": "x"})):
        assert (config.digest, config.s3) == ("md5", S3Config())
    assert Config.from_env() == Config(digest="sha256", s3=S3Config(region="eu-1"))
