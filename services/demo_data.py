"""The demo company's fixed facts: its stores, people, prices and the lines its shops speak. All made up."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Literal
from uuid import UUID, uuid5

from services.identity import Role

NAMESPACE = UUID("6f1c9a52-7d0e-5b43-9a3c-2f1d7e8b4c60")


def ident(*parts: object) -> UUID:
    """The same words give the same id in every installation."""
    return uuid5(NAMESPACE, "/".join(map(str, parts)))


ACCOUNT_ID = ident("account")
COMPANY = {"slug": "clipdesk-demo", "name": "Cinder & Rye (demo)", "timezone": "Europe/London"}


@dataclass(frozen=True, kw_only=True)
class Store:
    """`pace` is how much it orders on an ordinary day of the first month; `ends` is how its quota stands now."""

    code: str
    slug: str
    name: str
    cost_centre: str
    city: str
    phone: str
    timezone: str
    pace: float
    ends: Literal["comfortable", "near", "reached"]
    spoken: tuple[str, ...]  # lines with real audio

    @cached_property
    def id(self) -> UUID:
        return ident("store", self.code)


STORES = (
    Store(
        code="001",
        slug="lipscani",
        name="Lipscani",
        cost_centre="CC-4010",
        city="Bucharest",
        phone="+40 21 555 0143",
        timezone="Europe/Bucharest",
        pace=3,
        ends="comfortable",
        spoken=(
            "Good morning, Lipscani! The first tray of walnut rolls is out, and the ovens are only getting started.",
            "Two coffees and two buns before nine: take a friend, and the second bun is our treat.",
            "Tonight we bake until ten. Come by after the theatre, the lights are on and the rye is warm.",
            "New this week: honey cake by the slice, made by hand, and usually gone by noon.",
        ),
    ),
    Store(
        code="002",
        slug="borough",
        name="Borough",
        cost_centre="CC-4020",
        city="London",
        phone="+44 20 7946 0143",
        timezone="Europe/London",
        pace=4.5,
        ends="near",
        spoken=(
            "Rain outside, rye inside. Show this clip at the counter and your second coffee is on us.",
            "Borough, your lunch is ready: smoked cheddar on seeded sourdough, cut while you wait.",
            "Eight in the morning, and the queue is short. Flat white and a cinnamon knot, in under two minutes.",
            "We bake one loaf for every customer we expect. Be the customer we did not expect.",
        ),
    ),
    Store(
        code="003",
        slug="hudson",
        name="Hudson",
        cost_centre="CC-4030",
        city="New York",
        phone="+1 212 555 0143",
        timezone="America/New_York",
        pace=7,
        ends="reached",
        spoken=(
            "Hey, Hudson Street. Bagels at six, rye at seven, and somebody to say good morning all day.",
            "Catering for twelve? Call before four today, and breakfast is on your meeting table tomorrow.",
            "This Friday only: every loaf that is left at seven goes for half the price. Run, do not walk.",
            "Our cold brew takes eighteen hours. You get it in eighteen seconds. Step right up.",
        ),
    ),
)


@dataclass(frozen=True, kw_only=True)
class Person:
    """A manager works in the stores with these codes."""

    name: str
    role: Role
    stores: tuple[str, ...] = ()

    @cached_property
    def id(self) -> UUID:
        return ident("person", self.name)

    @property
    def email(self) -> str:
        return f"{self.name.lower().replace(' ', '.')}@cinder-and-rye.example"


PEOPLE = (
    Person(name="Helen Ashworth", role="admin"),
    Person(name="Tudor Ionescu", role="admin"),
    Person(name="Ioana Marin", role="manager", stores=("001",)),
    Person(name="Priya Shah", role="manager", stores=("002",)),
    Person(name="Marcus Reed", role="manager", stores=("002", "003")),
    Person(name="Sofia Lindqvist", role="manager", stores=("001", "003")),
    Person(name="Daniel Okafor", role="finance"),
    Person(name="Elena Petrescu", role="finance"),
)
FOUNDER = PEOPLE[0]


@dataclass(frozen=True, kw_only=True)
class Price:
    """`usd` for `per_units` units. `month`: in force from that month of the history on; None = from the founding."""

    provider: str
    model: str
    unit_kind: str
    usd: Decimal
    per_units: int = 1_000_000
    month: int | None = None
    reason: str

    @cached_property
    def id(self) -> UUID:
        return ident("price", self.provider, self.model, self.unit_kind, self.month)


MULTILINGUAL, FLASH_LITE = "eleven_multilingual_v2", "gemini-3.5-flash-lite"
PRICES = (
    Price(
        provider="hibari",
        model="heart",
        unit_kind="characters",
        usd=Decimal(0),
        per_units=1000,
        reason="Comes with Clipdesk: speaks on this machine",
    ),
    Price(
        provider="practice",
        model="premium",
        unit_kind="characters",
        usd=Decimal("0.30"),
        per_units=1000,
        reason="Practice price: nobody is billed",
    ),
    Price(
        provider="elevenlabs",
        model=MULTILINGUAL,
        unit_kind="characters",
        usd=Decimal("0.10"),
        per_units=1000,
        reason="Made-up list price",
    ),
    Price(
        provider="elevenlabs",
        model=MULTILINGUAL,
        unit_kind="characters",
        usd=Decimal("0.08"),
        per_units=1000,
        month=4,
        reason="Made-up list price, lowered",
    ),
    *(
        Price(provider="gemini", model=FLASH_LITE, unit_kind=kind, usd=Decimal(usd), reason="Made-up list price")
        for kind, usd in (("input_tokens", "0.30"), ("cached_tokens", "0.03"), ("output_tokens", "2.50"))
    ),
)

# Sentences that stand alone in any order; a promo is a few of them.
SENTENCES = (
    "The ovens start at four, so that your bread is still warm at seven.",
    "Our sourdough rests for thirty hours, and you can taste every one of them.",
    "Buy two loaves today and take a third one home for a neighbour.",
    "The cinnamon knots are back, and they are leaving faster than we can roll them.",
    "Bring your own cup and every coffee costs you a little less.",
    "Lunch is ready from half past eleven: soup, a slice of rye and salted butter.",
    "Try the seeded loaf: pumpkin, sunflower, flax and a crust that answers back.",
    "Order by noon and your birthday cake waits for you tomorrow morning.",
    "On Fridays we bake until late, because weekends begin with fresh bread.",
    "Children choose a free shortbread star with every family breakfast.",
    "Our flour comes from two small mills, and we know both millers by name.",
    "Ask for a taste of anything; the counter is the best place to make up your mind.",
    "Today's special is a plum tart with almond crumble, while the tray lasts.",
    "No time to queue? Order on your way and walk straight to the window.",
    "The cold brew has been working all night, so that you do not have to.",
    "Bread that is left at closing goes to the kitchen next door, never to the bin.",
    "Our apprentices baked the rolls this morning, and we could not be prouder.",
    "Rye, spelt, oat: three grains, one loaf, and toast for the whole week.",
    "A table by the window and a second espresso make a very good meeting room.",
    "Breakfast for the whole office fits into one box, and we carry it up the stairs.",
    "Autumn or spring, there is always a soup that knows what the weather is doing.",
    "Say hello to our new night baker, and to the croissants she brought with her.",
    "We are open on the holiday from eight to two, with everything you need for the table.",
    "Gluten free on Tuesdays: baked first, in clean ovens, before any flour flies.",
    "Save the crumbs, skip the dishes: Sunday brunch is on us to clean up.",
    "Collect six stamps and the seventh loaf is yours.",
    "Have you met our ginger loaf? Sliced thick, buttered thicker.",
    "Follow along this week as we build the tallest cake this street has ever seen.",
    "From our hands to your table in under an hour: that is the whole idea.",
    "Listen closely: a good crust sings when it cools.",
)

VIDEO_NAMES = ("Morning offers", "Season specials", "New on the counter", "Weekend table", "Meet the bakers")
PODCAST_NAME = "Behind the counter"
CLIP_NAMES = (
    "Warm rolls at seven",
    "Second coffee on us",
    "Thirty hours of sourdough",
    "Lunch in two minutes",
    "Half price at closing",
    "Cakes to order",
    "The night baker",
    "Breakfast for the office",
    "Brunch on Sunday",
    "A loaf for a neighbour",
    "The crust that sings",
    "Cold brew, slowly",
)
FAILURES = (
    "The voice gave no usable audio.",
    "The disk that holds the media is full. Free some space, then retry the job.",
    "The worker stopped unexpectedly 3 times. Nothing was charged; retry when it runs again.",
)
POST_FAILURES = {
    "instagram": "Instagram did not take it: the picture is too tall. Cut it to 4:5, then post it again.",
    "tiktok": "TikTok did not take it: too many posts in a day. Post it again tomorrow.",
    "facebook": "Facebook did not take it: the page was being renamed. Post it again.",
}
