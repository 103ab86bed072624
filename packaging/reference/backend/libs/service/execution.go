package service

// ExecutionWorkflow is the Temporal workflow type that the workflow-runner executes for the server.
const ExecutionWorkflow = "RunExecution"

// The states of an execution.
const (
	Running   = "running"
	Completed = "completed"
	Failed    = "failed"
)

// Execution is the document that is passed through the stack. Each service appends its name to Path, so a complete path
// proves that every service took part.
type Execution struct {
	ID      string   `json:"execution"`
	Message string   `json:"message"`
	Path    []string `json:"path"`
	State   string   `json:"state"`
	Error   string   `json:"error,omitempty"`
}
