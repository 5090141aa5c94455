"""`slicer.i18n`: untranslated texts, and a check that a translator could have found them."""


def tr(text):
    """The text; ValueError for anything but a non-empty string."""
    if not isinstance(text, str) or not text:
        raise ValueError(f"tr: {text!r} is not a text to translate")
    return text


def translate(context, text):
    """The text in a context."""
    if not isinstance(context, str):
        raise ValueError(f"translate: {context!r} is not a context")
    return tr(text)
