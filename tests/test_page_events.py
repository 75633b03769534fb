"""The page's events, as Gradio is told of them."""

from sd_app import Settings, Studio
from sd_app.ui import build_ui


def test_no_event_has_the_page_searched_for_what_it_could_show_progress_on(random_settings: Settings) -> None:
    config = build_ui(Studio(random_settings)).get_config_file()
    events = [event for event in config["dependencies"] if event["backend_fn"] and event["targets"]]
    assert len(events) > 100
    assert [event["api_name"] for event in events if event["show_progress_on"] != []] == []
