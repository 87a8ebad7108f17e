"""The regions there are."""

from typing import Final

from localcloud.fly import errors

REGIONS: Final = {
    "ams": ("Amsterdam, Netherlands", 52.37, 4.90, "europe"),
    "arn": ("Stockholm, Sweden", 59.65, 17.93, "europe"),
    "bom": ("Mumbai, India", 19.09, 72.87, "asia_pacific"),
    "cdg": ("Paris, France", 48.86, 2.35, "europe"),
    "dfw": ("Dallas, Texas (US)", 32.78, -96.81, "north_america"),
    "ewr": ("Secaucus, NJ (US)", 40.79, -74.06, "north_america"),
    "fra": ("Frankfurt, Germany", 50.11, 8.68, "europe"),
    "gru": ("Sao Paulo, Brazil", -23.55, -46.63, "south_america"),
    "iad": ("Ashburn, Virginia (US)", 39.02, -77.46, "north_america"),
    "jnb": ("Johannesburg, South Africa", -26.14, 28.24, "africa"),
    "lax": ("Los Angeles, California (US)", 33.94, -118.41, "north_america"),
    "lhr": ("London, United Kingdom", 51.47, -0.46, "europe"),
    "nrt": ("Tokyo, Japan", 35.76, 140.39, "asia_pacific"),
    "ord": ("Chicago, Illinois (US)", 41.89, -87.65, "north_america"),
    "sin": ("Singapore, Singapore", 1.35, 103.99, "asia_pacific"),
    "sjc": ("San Jose, California (US)", 37.35, -121.93, "north_america"),
    "syd": ("Sydney, Australia", -33.87, 151.21, "asia_pacific"),
    "yyz": ("Toronto, Canada", 43.68, -79.63, "north_america"),
}
"""Code: name, latitude, longitude, part of the world."""

_PARTS: Final = {"eu": "europe", "na": "north_america", "sa": "south_america", "apac": "asia_pacific", "af": "africa"}


def concrete(region: str) -> str:
    """The region itself: volumes take no expression. Raises Refused(400)."""
    if region not in REGIONS:
        raise errors.invalid(f"region: unknown region {region}")
    return region


def resolve(expression: str | None, default: str) -> str:
    """The first region that fits: "iad", "iad,us", "any", "eu". Raises Refused(400) if none does."""
    for term in (expression or default).split(","):
        if term == "any":
            return default
        if term in REGIONS:
            return term
        for code, (*_, part) in REGIONS.items():
            if _PARTS.get(term) == part:
                return code
    raise errors.invalid(f"region: unknown region {expression}")
