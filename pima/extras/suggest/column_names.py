"""Names of columns: what they reveal, and the plain names of the features that are made from
them."""

import re
import unicodedata
from collections.abc import Collection
from itertools import chain, count

from pima.core.declared.faults import LONGEST_NAME, RESERVED
from pima.core.declared.features import folded_name

OF_A_PERSON = re.compile(
    "patient|pacient|pat(id|no|nr|num|key|$)|person|subject|mrn|pid|member|insured|versicher|(kv|sv)nr|nhs|ssn|cpr|bsn|ahv"
)
_THING = re.compile(
    "id|no|nr|nbr|number|nummer|key|uuid|guid|code|zip|plz|postcode|phone|tel|ssn|mrn|(pat|patient|person|subject|member|versicherten|kv|sv|nhs|visit|case|fall|encounter|episode|aufnahme|record|row|sample)(id|no|nr|nbr|num|number|nummer|key)"
)
_SHARED = re.compile(
    "((sur|fore|first|last|full|family|vor|nach)?names?|e?mail|address|adresse|street|strasse"
    r"|zip\d*|zipcode|plz|post(al|leitzahl|code|alcode)|phone|telephone|telefon|tel|fax)$"
)
OUTCOME = re.compile(
    "outcome|class|label|target|readmi|died|death|dead|deceas|mortal|event|relaps|recur|surviv|complic|failure|positive|result|respon|stroke|verstorb|gestorb|fallec|muert|óbito|obito|décès"
)
DISEASE = re.compile("diabet|diagnos|disease")
"""An outcome, or a disease beside it: seen were Diabetes beside No-show, and heart_disease beside
stroke."""
SCORE = re.compile(r"points?$|pts$|\w*scores?$|\w*punkte?$")
GROUP = re.compile(
    "sex$|gender|geschlecht|ethnic|race$|language|sprache|insur|versicher|ward$|station$|site$|standort"
)
"""Who people are: a clinic may have reasons to let no model know it."""
KEYS_OF_TIMES = {
    "outcome_at": re.compile(f"known|{OUTCOME.pattern}|{DISEASE.pattern}"),
    "index_at": re.compile("discharg|admi|entlass|aufnahm|sampl|index"),
    "acted_at": re.compile("acted|called|contact|visited|refer|treated|angerufen|behandelt"),
    "changed_since": re.compile("chang|updat|modif|mtime|geänd"),
}
"""The keys of a source that name a column of times, and the words in the names of such columns."""


def name_words(name: str) -> list[str]:
    """Split a name into its words in lower case: patientNo and patient_no are both patient and
    no."""
    divided = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [part for part in re.split(r"[\W_]+", divided.casefold()) if part]


def has_word(name: str, words: re.Pattern[str]) -> bool:
    """Whether one of the words of a name begins as the pattern says."""
    return any(map(words.match, name_words(name)))


def names_a_person(name: str) -> bool:
    """Whether the column may say which person a row is about."""
    return names_things(name) and has_word(name, OF_A_PERSON)


def names_things(name: str) -> bool:
    """Whether the column's values name things, and are no measurements."""
    parts = name_words(name)
    return bool(parts) and (
        parts in (["patient"], ["person"], ["subject"]) or _THING.fullmatch(parts[-1]) is not None
    )


def is_no_key(name: str) -> bool:
    """Whether the column's values can be shared, or change with a marriage or a move, even if all
    rows differ now."""
    return has_word(name, _SHARED)


def plain_names(columns: Collection[str], taken: Collection[str] = ()) -> dict[str, str]:
    """Give each column a plain and unique name for a feature, which also stays unique when files
    spell it otherwise."""
    theirs = {folded_name(column) for column in columns}
    ours = {folded_name(name) for name in (*RESERVED, *taken)}
    found = {}
    for column in columns:
        ascii_text = unicodedata.normalize("NFKD", column).encode("ascii", "ignore").decode()
        plain = re.sub(r"[^a-z0-9]+", "_", ascii_text.lower()).strip("_")
        if not plain[:1].isalpha():
            plain = f"column_{plain}".strip("_")
        plain = plain[: LONGEST_NAME - 6].strip("_")
        # A name that another column already has is left to it.
        others = ours | (theirs - {folded_name(column)})
        candidates = chain([plain], (f"{plain}_{n}" for n in count(2)))
        found[column] = next(name for name in candidates if folded_name(name) not in others)
        ours.add(folded_name(found[column]))
    return found
