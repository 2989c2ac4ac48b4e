package report

import (
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/keyward/keyward/internal/leak"
)

// The part of SARIF 2.1.0 (OASIS) that is needed here.
type (
	sarif struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name            string      `json:"name"`
		SemanticVersion string      `json:"version"`
		InformationURI  string      `json:"informationUri"`
		Rules           []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID                   string          `json:"id"`
		Name                 string          `json:"name"`
		ShortDescription     sarifText       `json:"shortDescription"`
		Help                 sarifText       `json:"help"`
		DefaultConfiguration sarifConfig     `json:"defaultConfiguration"`
		Properties           sarifProperties `json:"properties"`
	}
	sarifConfig struct {
		Level string `json:"level"`
	}
	sarifProperties struct {
		Tags     []string `json:"tags"`
		Severity string   `json:"security-severity"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifInvocation struct {
		Successful    bool                `json:"executionSuccessful"`
		Notifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		Physical sarifPhysical  `json:"physicalLocation"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   *sarifRegion  `json:"region,omitempty"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogical struct {
		FullyQualifiedName string `json:"fullyQualifiedName"`
	}
)

func level(s leak.Severity) string {
	switch s {
	case leak.Low:
		return "note"
	case leak.Medium:
		return "warning"
	}
	return "error"
}

// score answers the number that code hosts sort security alerts by.
func score(s leak.Severity) string {
	return [...]string{leak.Low: "3.0", leak.Medium: "5.5", leak.High: "8.0", leak.Critical: "9.5"}[s]
}

func sarifOf(r Report) sarif {
	run := sarifRun{Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "keyward", SemanticVersion: r.Version, InformationURI: "https://github.com/keyward/keyward", Rules: []sarifRule{}}
	index := map[string]int{}
	for _, rule := range r.Rules {
		index[rule.ID] = len(run.Tool.Driver.Rules)
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{
			ID: rule.ID, Name: rule.ID, ShortDescription: sarifText{rule.Title.English}, Help: sarifText{rule.Provider.Advice.English},
			DefaultConfiguration: sarifConfig{level(rule.Severity)}, Properties: sarifProperties{Tags: []string{"security", "secret", rule.Provider.ID}, Severity: score(rule.Severity)},
		})
	}
	for _, f := range r.Findings {
		result := sarifResult{RuleID: f.Rule, RuleIndex: index[f.Rule], Level: level(f.Severity), Message: sarifText{message(f)}, Fingerprints: map[string]string{"keyward/v1": f.Fingerprint}}
		for _, l := range f.Locations {
			result.Locations = append(result.Locations, sarifPlace(l))
		}
		run.Results = append(run.Results, result)
	}
	invocation := sarifInvocation{Successful: !r.Coverage.Partial() && !r.Coverage.Nothing()}
	for _, p := range r.Coverage.Problems {
		invocation.Notifications = append(invocation.Notifications, sarifNotification{"error", sarifText{p.Path + ": " + p.What}})
	}
	run.Invocations = []sarifInvocation{invocation}
	return sarif{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}}
}

// message says a finding in one English sentence.
func message(f leak.Finding) string {
	what := f.Title.English
	if f.Redacted != "" {
		what += fmt.Sprintf(" %s (%d bytes)", f.Redacted, f.Length)
	}
	if f.KeyID != "" && f.KeyID != f.Redacted {
		what += " of " + f.KeyID
	}
	return fmt.Sprintf("%s, %s. To do: %s.", what, f.Confidence, f.Advice.English)
}

func sarifPlace(l leak.Location) sarifLocation {
	outer, inner, packed := strings.Cut(l.Path, "!")
	out := sarifLocation{Physical: sarifPhysical{Artifact: sarifArtifact{URI: (&url.URL{Path: filepath.ToSlash(outer)}).EscapedPath()}}}
	if packed { // a line within a member is none of the file
		out.Logical = []sarifLogical{{inner}}
		return out
	}
	if l.Line > 0 {
		out.Physical.Region = &sarifRegion{StartLine: l.Line}
	}
	return out
}
