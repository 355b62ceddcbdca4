"""Whom an activity is for, as SQL: what `Activity.welcomes` says, for the statements that ask it of many rows."""

from typing import Final

#: `a` is an activity, `m` a member with the path of the unit (id, path, status, gender, birth_year, employment_form,
#: user_issuer, user_subject); `{on}` the day on which posts count. Years of age go by the calendar year in China.
_CONDITION: Final = """(
    m.status IN ('active', 'retained', 'transferring')
    AND m.path ^@ (SELECT u.path FROM directory_organisations u WHERE u.id = a.audience_organisation_id)
    AND (a.audience_min_age IS NULL OR {year} - m.birth_year >= a.audience_min_age)
    AND (a.audience_max_age IS NULL OR {year} - m.birth_year <= a.audience_max_age)
    AND (a.audience_genders = '{{}}' OR m.gender = ANY (a.audience_genders))
    AND (a.audience_forms = '{{}}' OR m.employment_form = ANY (a.audience_forms))
    AND (a.audience_roles = '{{}}' OR EXISTS (
        SELECT FROM directory_posts p JOIN directory_organisations u ON u.id = p.organisation_id
        WHERE p.issuer = m.user_issuer AND p.subject = m.user_subject AND p.role = ANY (a.audience_roles)
            AND p.starts_on <= {on} AND (p.ends_on IS NULL OR p.ends_on >= {on})
            AND u.path ^@ (SELECT v.path FROM directory_organisations v WHERE v.id = a.audience_organisation_id)
    ))
)"""
_YEAR: Final = "extract(year FROM a.starts_at AT TIME ZONE 'UTC' + interval '8 hours')"


def welcomes(on: str) -> str:
    """SQL condition over `a` and `m`: the audience of `a` includes `m`. `on` is SQL for today in China."""
    return _CONDITION.format(year=_YEAR, on=on)
