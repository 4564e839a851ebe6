"""Every error that deepagent raises on purpose, in one tree.

The three branches are three audiences, so that a handler can say whom it speaks to::

    DeepAgentError
    ├── UsageError             the developer or user asked for something that cannot be
    │   ├── ConfigError            a setting is unknown or out of range
    │   ├── TaskError              the task is empty, or larger than the window
    │   ├── ToolDefinitionError    a tool's schema or signature cannot be used
    │   └── TrainingError          runs or settings that cannot be trained on
    ├── ToolError              the model can try again; becomes an observation, never ends a run
    │   ├── UnknownToolError       no tool has this name
    │   ├── InvalidArgumentsError  the arguments break the tool's schema
    │   ├── ToolFailedError        the tool raised
    │   │   └── UnreachableError       its server could not be reached, or broke off
    │   ├── ToolTimeoutError       the tool did not finish in time
    │   └── ToolRefusedError       the call is not approved, or one too many
    └── OperatorError          something around the run is broken; the run cannot go on
        ├── ModelError             the model server failed
        │   ├── ModelUnavailableError  it cannot be reached, or keeps refusing
        │   │   └── BrokenReplyError       it broke off in the middle of a reply
        │   ├── ModelTimeoutError      it did not answer in time
        │   ├── ModelReplyError        it answered something that is not a reply
        │   └── ContextOverflowError   prompt and reply do not fit its window
        ├── WeightsError           model weights are missing, or their checksum is wrong
        ├── SandboxError           code cannot be run
        │   └── SandboxUnavailableError  this machine offers no confinement
        ├── IndexFormatError       an index on disk is damaged, or was made by another encoder
        ├── BusyError              a service has more to do than it will answer soon
        ├── StoreError             the run store cannot be read or written
        ├── EvaluationStoppedError  episode after episode fails for the same reason
        └── FoldError              the history cannot be made to fit the window
            └── StuckError         folding brings nothing new any more

A message is one line: what happened, why, and what to do about it.
"""

from __future__ import annotations


class DeepAgentError(Exception):
    """Base of all deliberate errors."""


class UsageError(DeepAgentError):
    """The caller used the library or the command line wrongly."""


class ConfigError(UsageError):
    """A setting is unknown, of the wrong type or out of range."""


class TaskError(UsageError):
    """The task text cannot be worked on: empty, or larger than the window."""


class ToolDefinitionError(UsageError):
    """A function, schema or document cannot be turned into a tool."""


class TrainingError(UsageError):
    """These runs, or these settings, cannot be trained on."""


class ToolError(DeepAgentError):
    """Shown to the model as an observation; it may try again."""

    kind = "tool_error"


class UnknownToolError(ToolError):
    """No tool has the name that was called."""

    kind = "unknown_tool"


class InvalidArgumentsError(ToolError):
    """The arguments break the tool's JSON Schema."""

    kind = "invalid_arguments"


class ToolFailedError(ToolError):
    """The tool itself raised."""

    kind = "tool_failed"


class UnreachableError(ToolFailedError):
    """The server behind a tool could not be reached or broke off; a repetition may help where it does no harm."""


class ToolTimeoutError(ToolError):
    """The tool did not finish within its time limit."""

    kind = "tool_timeout"


class ToolRefusedError(ToolError):
    """The call was not approved, or the run has made as many as it may."""

    kind = "tool_refused"


class OperatorError(DeepAgentError):
    """Something that the run stands on is broken."""


class ModelError(OperatorError):
    """The model server failed."""


class ModelUnavailableError(ModelError):
    """The server cannot be reached or keeps refusing."""


class BrokenReplyError(ModelUnavailableError):
    """The server broke off in the middle of a reply; what was heard of it is void."""


class ModelTimeoutError(ModelError):
    """The server did not answer within the time limit."""


class ModelReplyError(ModelError):
    """The server answered something that is not a model reply."""


class ContextOverflowError(ModelError):
    """Prompt and reply together do not fit the model's window."""


class WeightsError(OperatorError):
    """Model weights are missing, unreachable, or not the ones that were pinned."""


class SandboxError(OperatorError):
    """The sandbox cannot run code."""


class SandboxUnavailableError(SandboxError):
    """This machine offers no confinement that is strong enough."""


class IndexFormatError(OperatorError):
    """An index on disk is damaged or was made by another encoder or version."""


class BusyError(OperatorError):
    """A service has more to do than it will answer soon."""


class StoreError(OperatorError):
    """The run store cannot be read or written."""


class FoldError(OperatorError):
    """A fold could not make the history smaller than the window."""


class StuckError(FoldError):
    """Two folds in a row, and no step between them succeeded: a third would change nothing."""


class EvaluationStoppedError(OperatorError):
    """Episode after episode failed for the same reason, so that going on would only waste time and money."""
