"""The browser of somebody who has no mouse: every element is reached by Tab, and seen to be reached."""

from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from tests.e2e.browser import Browser

TABS = 200  # more elements than any page has
SHOWS_FOCUS = """
const style = getComputedStyle(document.activeElement), own = style.outlineStyle !== "none" && style.outlineWidth !== "0px";
const around = document.activeElement.closest("label");
const outer = around && getComputedStyle(around);
return own || style.boxShadow !== "none" || !!outer && (outer.outlineStyle !== "none" || outer.boxShadow !== "none");
"""


class Keyboard(Browser):
    def click(self, text: str) -> None:
        """Follow the link with this text and wait for the page that it leads to."""
        page = self.driver.find_element(By.TAG_NAME, "html")
        self.reach(self.driver.find_element(By.LINK_TEXT, text))
        self.type(Keys.ENTER)
        self.wait_for_page_after(page, f"following {text!r} led nowhere")

    def fill(self, **fields: str) -> None:
        for name, value in fields.items():
            found = self.driver.find_elements(By.NAME, name)
            assert found, f"no field {name} on {self.path}"
            match found[0].get_attribute("type"), found[0].tag_name:
                case "radio", _:
                    self.choose(found, value)
                case "checkbox", _:
                    if not found[0].is_selected():
                        self.reach(found[0])
                        self.type(Keys.SPACE)
                case _, "select":
                    option = found[0].find_element(By.CSS_SELECTOR, f'option[value="{value}"]')
                    self.reach(found[0])
                    self.type(option.text)
                    assert found[0].get_attribute("value") == value
                case _:
                    self.reach(found[0])
                    ActionChains(self.driver).key_down(Keys.CONTROL).send_keys("a").key_up(
                        Keys.CONTROL
                    ).perform()
                    self.type(value or Keys.DELETE)

    def choose(self, radios: list[WebElement], value: str) -> None:
        """Tab enters a group of radio buttons once; the arrows move within it."""
        wanted = next(radio for radio in radios if radio.get_attribute("value") == value)
        self.reach(next((radio for radio in radios if radio.is_selected()), radios[0]))
        if not wanted.is_selected():
            self.type(Keys.SPACE)
        for _ in radios:
            if wanted.is_selected():
                return
            self.type(Keys.ARROW_DOWN)
        raise AssertionError(f"the arrows do not reach {value} on {self.path}")

    def press(self, label: str) -> None:
        buttons = self.driver.find_elements(By.XPATH, f'//main//button[normalize-space()="{label}"]')
        assert len(buttons) == 1, f"{len(buttons)} buttons {label!r} on {self.path}: {self.text[:500]}"
        page = self.driver.find_element(By.TAG_NAME, "html")
        self.reach(buttons[0])
        self.type(Keys.ENTER)
        self.wait_for_page_after(page, f"pressing {label!r} did nothing")

    def picture(self, title: str) -> None:
        """None: the walk with the mouse takes them."""

    def reach(self, wanted: WebElement) -> None:
        for _ in range(TABS):
            if self.driver.switch_to.active_element == wanted:
                shown = self.driver.execute_script(SHOWS_FOCUS)
                assert shown, (
                    f"{wanted.get_attribute('outerHTML')[:200]} on {self.path} does not show its focus"
                )
                return
            self.type(Keys.TAB)
        raise AssertionError(f"Tab never reaches {wanted.get_attribute('outerHTML')[:200]} on {self.path}")

    def type(self, keys: str) -> None:
        ActionChains(self.driver).send_keys(keys).perform()
