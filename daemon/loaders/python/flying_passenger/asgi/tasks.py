"""Tasks that begin at once, and not in the next round of the event loop: most requests are answered without waiting."""

import asyncio
import sys
from typing import Any, Callable, Coroutine, List, Tuple


def starter(loop: Any) -> Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]:
    """What starts a coroutine as a task of this loop. It is the current task from its first line on, as it is later."""

    def start_later(coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        task: asyncio.Task[None] = loop.create_task(coroutine)
        return task

    def start(coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        if loop.get_task_factory() is not None:
            # Such tasks are the app's wish.
            return start_later(coroutine)
        return begin(coroutine)

    if sys.version_info >= (3, 12):

        def begin(coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
            return asyncio.Task(coroutine, loop=loop, eager_start=True)

        return start

    steps: List[Tuple[Callable[[], None], Any]] = []

    def take(step: Callable[[], None], context: Any = None) -> None:
        steps.append((step, context))

    def begin(coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        # A new task asks the loop for its first step, which is taken here instead.
        loop.call_soon = take
        try:
            task = asyncio.Task(coroutine, loop=loop)
        finally:
            del loop.call_soon
        step, context = steps.pop()
        context.run(step)
        return task

    try:
        loop.call_soon = take
        del loop.call_soon
    except AttributeError:
        # A loop whose functions cannot be replaced.
        return start_later
    return start
